"""Scenes and labels of one's own: from a scene and a few labels to a model folder and to maps.

`pieces` cuts the scene around its labels, `holdout` says what is held out together. A network
(`learn`) and a forest of single pixels (`grow`, `forest`) train on that, `score` scores them and
`compare` keeps one; `fit` is the whole way, `stored` the model folder. `stream` predicts a scene of
any size in strips, `predict` writes the maps, `clicks` says where a label would help most. Below it
lies `geo`, which knows no network.

`explore` is a widget to click labels on: `clicked` are the clicks and their file, `trial` trains on
them for some seconds, `still` draws what there is where nobody can click.
"""
