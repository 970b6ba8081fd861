"""Public data sets of large images with dense masks, cut into chips: one declaration each.

- LandCover.ai, version 1: 41 orthophotos of Poland, `images/NAME.tif` (8-bit RGB, 0.25 or 0.5 m a
  pixel) and `masks/NAME.tif`. A file is named after the map sheet it shows (1:5 000, Polish
  coordinate system 1992). An orthophoto is a rectangle around its sheet, so orthophotos of sheets
  that touch, at an edge or a corner, show partly the same ground, and the published split draws
  chips at random. Here a sheet, and all sheets that touch it, are on one side.
  Source: Boguszewski et al. 2021, https://arxiv.org/abs/2005.02264; https://landcover.ai.linuxpolska.com
- DeepGlobe Land Cover (2018): 803 satellite images of 2448 x 2448, 0.5 m a pixel,
  `train/ID_sat.jpg` and `train/ID_mask.png`; the images of `valid` and `test` have no public masks
  and are not read. It is not published where an image was taken, and its id is a random number, so
  no split by site can be proven; all chips of one image are on one side. Masks are rounded, as the
  publisher asks: not all are of pure colours.
  Source: Demir et al. 2018, https://arxiv.org/abs/1805.06561;
  https://www.kaggle.com/datasets/balraj98/deepglobe-land-cover-classification-dataset
- ISPRS Potsdam: 38 patches of one true orthophoto, 6000 x 6000, 5 cm a pixel, in their published
  split. A patch is named after its row and column in the mosaic. Patches do not overlap, but
  training and test patches touch, and all show one city. Validation is the training patches of
  columns 7 to 9: one block, which no test patch touches. Two masks are known to hold colours beside
  the six pure ones: 4_12 (compressed with loss) and 6_7 (cars with red 252).
  Source: https://www.isprs.org/resources/datasets/benchmarks/UrbanSemLab/Default.aspx
"""

from fewlabels.data.chips import Sheets
from fewlabels.data.download import Download
from fewlabels.data.source import Declaration, way_out
from fewlabels.types import IGNORE

LANDCOVERAI = Sheets(
    name="landcoverai",
    classes=("background", "building", "woodland", "water", "road"),
    folder="landcover_ai",
    images="images/*.tif",
    masks=("masks/*.tif",),
    ids=tuple(
        f"{hundred}-{part}"
        for hundred, parts in {
            "M-33-7": "A-d-2-3 A-d-3-2",
            "M-33-20": "D-c-4-2 D-d-3-3",
            "M-33-32": "B-b-4-4",
            "M-33-48": "A-c-4-4",
            "M-34-5": "D-d-4-2",
            "M-34-6": "A-d-2-2",
            "M-34-32": "B-a-4-3 B-b-1-3",
            "M-34-51": "C-b-2-1 C-d-4-1",
            "M-34-55": "B-b-4-1",
            "M-34-56": "A-b-1-4",
            "M-34-65": "D-a-4-4 D-c-4-2 D-d-4-1",
            "M-34-68": "B-a-1-3",
            "M-34-77": "B-c-2-3",
            "N-33-60": "D-c-4-2 D-d-1-2",
            "N-33-96": "D-d-1-1",
            "N-33-104": "A-c-1-1",
            "N-33-119": "C-c-3-3",
            "N-33-130": "A-d-3-3 A-d-4-4",
            "N-33-139": "C-d-2-2 C-d-2-4 D-c-1-3",
            "N-34-61": "B-a-1-1",
            "N-34-66": "C-c-4-3",
            "N-34-77": "A-b-1-4",
            "N-34-94": "A-b-2-4",
            "N-34-97": "C-b-1-2 D-c-2-4",
            "N-34-106": "A-b-3-4 A-c-1-3",
            "N-34-140": "A-b-3-2 A-b-4-2 A-d-3-4 A-d-4-2",
        }.items()
        for part in parts.split()
    ),
    side=512,  # as in the published cut
    advice=way_out("landcoverai", "landcover_ai"),
    together=(
        ("M-33-7-A-d-2-3", "M-33-7-A-d-3-2"),
        ("M-33-20-D-c-4-2", "M-33-20-D-d-3-3"),
        ("N-33-139-C-d-2-2", "N-33-139-C-d-2-4", "N-33-139-D-c-1-3"),
    ),
)
DEEPGLOBE = Sheets(
    name="deepglobe",
    classes=("urban", "agriculture", "rangeland", "forest", "water", "barren"),
    folder="deepglobe_land_cover",
    images="train/*_sat.jpg",
    masks=("train/*_mask.png",),
    ids=803,
    side=612,
    advice=way_out("deepglobe", "deepglobe_land_cover"),
    colours={
        (0, 255, 255): 0,
        (255, 255, 0): 1,
        (255, 0, 255): 2,
        (0, 255, 0): 3,
        (0, 0, 255): 4,
        (255, 255, 255): 5,
        (0, 0, 0): IGNORE,  # "unknown": clouds and others
    },
    rounded=None,
)
ISPRS = "https://www.isprs.org/resources/datasets/benchmarks/UrbanSemLab/Default.aspx"
TRAIN = (
    *(f"{row}_{column}" for row in (2, 3, 4, 5) for column in range(10, 13)),
    *(f"{row}_{column}" for row in (6, 7) for column in range(7, 13)),
)
TEST = (
    *(f"{row}_{column}" for row in (2, 3) for column in (13, 14)),
    *(f"{row}_{column}" for row in (4, 5, 6) for column in (13, 14, 15)),
    "7_13",
)
POTSDAM = Sheets(
    name="potsdam",
    classes=("impervious surface", "building", "low vegetation", "tree", "car", "clutter"),
    folder="potsdam",
    images="2_Ortho_RGB/top_potsdam_*_RGB.tif",
    masks=(
        "5_Labels_all/top_potsdam_*_label.tif",
        "5_Labels_for_participants/top_potsdam_*_label.tif",
    ),
    ids=(*TRAIN, *TEST),
    side=600,
    advice="it cannot be downloaded without asking: fill in ISPRS's form, linked at "
    f"{ISPRS}; 2_Ortho_RGB.zip has all images, 5_Labels_all.zip all masks, "
    "5_Labels_for_participants.zip only the 24 masks of the training patches; or set DATA_ROOT to "
    "the folder that holds potsdam (data/README.md)",
    colours={
        (255, 255, 255): 0,
        (0, 0, 255): 1,
        (0, 255, 255): 2,
        (0, 255, 0): 3,
        (255, 255, 0): 4,
        (255, 0, 0): 5,
    },
    rounded=("4_12", "6_7"),
    test=TEST,
    validation=tuple(patch for patch in TRAIN if patch[-2:] in ("_7", "_8", "_9")),
)
DECLARATIONS = (
    Declaration(
        name="landcoverai",
        find=LANDCOVERAI.source,
        notice="The images are chips of 41 aerial orthophotos of Poland (LandCover.ai v1; "
        "CC BY-NC-SA).",
        citation="Boguszewski et al. 2021, https://arxiv.org/abs/2005.02264",
        licence="CC BY-NC-SA 4.0",
        folder=LANDCOVERAI.folder,
        download=Download(
            members=("images/*.tif", "masks/*.tif"),
            address="https://landcover.ai.linuxpolska.com/download/landcover.ai.v1.zip",
            md5="3268c89070e8734b4e91d531c0617e03",  # from torchgeo/datasets/landcoverai.py
        ),
    ),
    Declaration(
        name="deepglobe",
        find=DEEPGLOBE.source,
        notice="The images are chips of the 803 satellite images of DeepGlobe Land Cover (2018) "
        "that have public masks; where they were taken is not published, so no split by site is "
        "proven.",
        citation="Demir et al. 2018, https://arxiv.org/abs/1805.06561",
        licence="not known; read the terms of the Kaggle page and of the challenge before use",
        folder=DEEPGLOBE.folder,
        download=Download(
            members=("train/*_sat.jpg", "train/*_mask.png"),
            kaggle="balraj98/deepglobe-land-cover-classification-dataset",
        ),
    ),
    Declaration(
        name="potsdam",
        find=POTSDAM.source,
        notice="The images are chips of the 38 aerial patches of ISPRS Potsdam, all of one city.",
        citation=f"ISPRS 2D Semantic Labeling Contest: Potsdam, {ISPRS}",
        licence="the terms of ISPRS's form",
        folder=POTSDAM.folder,
    ),
)
