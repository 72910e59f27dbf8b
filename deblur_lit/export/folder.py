"""A network as a folder: configuration, weights and model card, as the model hub and `load_folder` take them."""

from pathlib import Path

import yaml
from safetensors.torch import save_file

from deblur_lit.export.source import CARD, Source
from deblur_lit.networks.loading import count_parameters
from deblur_lit.pretrained import CONFIG, WEIGHTS

FILES = (CONFIG, WEIGHTS, CARD)
FRONT = """---
library_name: deblur_lit
pipeline_tag: image-to-image
tags: [deblurring, image-restoration]
---
"""
USE = """
## Use

```
deblur-lit predict photo.jpg --checkpoint FOLDER
```

```python
from deblur_lit import Deblurrer, from_pretrained

deblur = Deblurrer(from_pretrained("FOLDER"))  # or the name of this repository on the model hub
restored = deblur(image)  # NumPy (H, W, 3), PIL or torch, of any size
```
"""


def write_folder(source: Source, half: bool, folder: Path) -> None:
    """Write the three files into a folder that is there."""
    (folder / CONFIG).write_text(yaml.safe_dump(source.node, sort_keys=False), encoding="utf-8")
    weights = {
        name: (value.half() if half and value.is_floating_point() else value).contiguous()
        for name, value in source.network.state_dict().items()
    }
    save_file(weights, folder / WEIGHTS)
    (folder / WEIGHTS).chmod(0o644)  # it is written for its owner alone
    (folder / CARD).write_text(_card(source, half), encoding="utf-8")


def _card(source: Source, half: bool) -> str:
    """Return the model card: the one that the source has, or what is known."""
    if source.card is not None:
        return source.card if source.card.startswith("---\n") else FRONT + "\n" + source.card
    lines = [
        f"# {source.title}",
        "",
        "A network that restores blurred photographs, written by `deblur-lit export`.",
        "",
        f"- Class: `{source.node['_target_']}`, {count_parameters(source.network)} parameters, stored in "
        f"{'float16' if half else 'float32'}",
        *(f"- {fact}" for fact in source.facts),
    ]
    return FRONT + "\n" + "\n".join(lines) + "\n" + USE
