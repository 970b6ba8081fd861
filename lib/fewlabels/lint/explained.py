"""What explains the findings in the committed records of the published study."""

from collections.abc import Mapping
from types import MappingProxyType

EXPLAINED: Mapping[str, str] = MappingProxyType(
    {
        "E*/majority/stratified, *, fold 2, *": (
            "Labels drawn evenly over the classes make a network predict the largest class less "
            "often than it occurs; on this fold that costs more accuracy than the classes give."
        ),
    }
)
