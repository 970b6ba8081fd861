"""Learners: what turns images and labels into a predictor."""
