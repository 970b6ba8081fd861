"""What explains the findings in the committed records of the published study."""

from collections.abc import Mapping
from types import MappingProxyType

TEN = (
    "Ten labels an image are too few on this place: with a hundred, drawn in the same way by the "
    "same pair, the rule finds nothing there."
)
SOIL = (
    "On its own training images too, what is labelled there is taken for its class less often than "
    "if all were called soil: this network has not learned them in these steps. Of the pairs of "
    "its condition that holds of these alone."
)
EXPLAINED: Mapping[str, str] = MappingProxyType(
    {
        "A/majority/ResNet-18, 20 %, fold 2, pair 0": (
            "System A's learning rate is constant, so the last weights are wherever the last steps "
            "took them: on the watched curve of this run the accuracy was above the largest "
            "class's share a tenth of the steps before."
        ),
        "E*/majority/stratified, *, fold 2, *": (
            "Labels drawn evenly over the classes make a network predict the largest class less "
            "often than it occurs; on this fold that costs more accuracy than the classes give."
        ),
        "balance*/majority/stratified, *, fold 2, *": (
            "As in E, labels drawn evenly over the classes, on the same fold."
        ),
        "balance/majority/random, 10 px, fold 2, pair 1": TEN,
        "balance/majority/stratified, 10 px, fold 1, pair 1": TEN,
        "D*/majority/*, fold 2, *": (
            "Every condition of D draws as many labels of each class. In E stratified labels show "
            "the same on this fold and random ones do not."
        ),
        "D*/majority/*, fold 1, *": (
            "Every condition of D draws as many labels of each class, which may cost accuracy; in "
            "E stratified labels do not show it on this fold, so it was not tested."
        ),
        "B/majority/*, pair *": (
            "System B trains from scratch for few steps, with class weights that are the inverse "
            "of the classes' shares, so it predicts the largest class less often than it occurs; "
            "the same without weights was not run."
        ),
        "C/test-above-validation/*background taught, *": (
            "Validation counts background as a class, and as errors what of it is taken for "
            "terrain; in the test what nobody labelled counts for nothing."
        ),
        "C*/majority/rare class augmented, *": (
            "Class weights as of the plain runs, which pass, and four times the images that hold "
            "big rock: more of the soil is taken for sand and bedrock, and a little of everything "
            "for big rock."
        ),
        "C/majority/SE + dropout, background taught, fold 0, pair 5": SOIL,
        "C/majority/SE + dropout, background taught, fold 0, pair 10": SOIL,
        "pretraining/majority/from scratch, 30 px, fold 2, pair 0": (
            "Thirty labels an image are too few on this place for a network from scratch; from "
            "pretrained weights the rule finds nothing there."
        ),
        "selection/majority/best by *, fold [12], pair 0": (
            "Thirty labels an image, and weights that validation on another place chose from "
            "before the last step: on the same curve the last weights are above that share."
        ),
        "redrawing/majority/drawn each round, fold 2, pair 0": (
            "Ten labels an image are few on this place, also where they are drawn anew each round: "
            "drawn once, by the same pair, the accuracy ends barely above the share."
        ),
        "redrawing/labels-seen/drawn each round, *": (
            "These runs draw new labels in every round on purpose, to measure what that flatters."
        ),
        "budget/majority/10 px, fold 2, pair 1": TEN,
        "redrawing/majority/drawn once, fold 2, pair 1": TEN,  # the same run
        "budget/majority/5 px, fold 2, *": (
            "Five labels an image are too few on this place, in every pair: always answering its "
            "largest class would be right more often."
        ),
    }
)
