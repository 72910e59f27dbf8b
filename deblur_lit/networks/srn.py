"""The scale-recurrent network: one encoder-decoder for three scales, coarse to fine, in colour, grey or with memory."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deblur_lit.networks.blocks import DeblurNetwork, Renaming, ResidualBlock, rename
from deblur_lit.tensors import Pyramid

STEPS = (4, 2, 1)  # pixels of the image per pixel of a scale, in the order in which they are restored
STRIDES = 3  # sizes of features in the encoder-decoder
KERNEL = 5  # side of every convolution that does not enlarge
SAME = (1, 2, 1, 2)  # TensorFlow's SAME padding of a stride-2 convolution of 5x5 on even sides: 1 before, 2 after


class SRN(DeblurNetwork):
    """An encoder-decoder that restores quarter, half and full size with the same weights.

    Each scale sees the blurred image of its size and the enlarged result of the scale before (the first one the
    blurred image twice), and leaves the image itself, not a residual. Images are resized as TensorFlow 1 does: pixel
    i of the smaller one is pixel 2i or 4i of the larger one.

    Args:
        channels: C, the width at the size of a scale; 2C and 4C below.
        num_blocks: residual blocks per size of the encoder and of the decoder.
        colour: False restores red, green and blue alone, each as a grey image.
        lstm: remember coarser scales in a convolutional LSTM between encoder and decoder.
        padding_mode: see `DeblurNetwork`.

    Raises:
        ValueError: for fewer than 1 channel or block.

    Source: Tao et al., CVPR 2018, arXiv:1802.01770.

    Example:
        >>> network = SRN(channels=4, num_blocks=1, colour=False, lstm=True)
        >>> [tuple(image.shape) for image in network(torch.zeros(1, 3, 7, 10))]
        [(1, 3, 7, 10), (1, 3, 4, 5), (1, 3, 2, 3)]
    """

    multiple = STEPS[0] * 2 ** (STRIDES - 1)

    def __init__(
        self,
        channels: int = 32,
        num_blocks: int = 3,
        colour: bool = True,
        lstm: bool = False,
        padding_mode: str = "reflect",
    ) -> None:
        super().__init__(padding_mode)
        if channels < 1 or num_blocks < 1:
            raise ValueError(f"need channels >= 1 and num_blocks >= 1, got {channels} and {num_blocks}")
        self.colour = colour
        image = 3 if colour else 1
        widths = [channels * 2**stride for stride in range(STRIDES)]

        def stages() -> nn.ModuleList:
            return nn.ModuleList(
                nn.Sequential(*(ResidualBlock(width, KERNEL) for _ in range(num_blocks))) for width in widths
            )

        self.enter = nn.ModuleList([nn.Conv2d(2 * image, channels, KERNEL, padding=KERNEL // 2)])
        self.enter.extend(nn.Conv2d(width, 2 * width, KERNEL, stride=2) for width in widths[:-1])
        self.encode = stages()
        self.lstm = ConvLSTM(widths[-1]) if lstm else None
        self.decode = stages()
        self.up = nn.ModuleList(nn.ConvTranspose2d(2 * width, width, 4, 2, 1) for width in widths[:-1])
        self.leave = nn.Conv2d(channels, image, KERNEL, padding=KERNEL // 2)

    def restore(self, blur: Tensor) -> Pyramid:
        """Restore (B, 3, H, W) whose sides are multiples of 16; see `forward`."""
        image = blur if self.colour else blur.flatten(0, 1)[:, None]
        restored = image[..., :: STEPS[0], :: STEPS[0]]
        memory: Tensor | None = None
        outputs: list[Tensor] = []
        for step in STEPS:
            if outputs:
                restored = double(restored)
                memory = None if memory is None else double(memory)
            restored, memory = self._restore_scale(torch.cat([image[..., ::step, ::step], restored], dim=1), memory)
            outputs.append(restored.reshape(-1, 3, *restored.shape[2:]))
        return Pyramid(*reversed(outputs))

    def _restore_scale(self, images: Tensor, memory: Tensor | None) -> tuple[Tensor, Tensor | None]:
        encoded: list[Tensor] = []
        for stride in range(STRIDES):
            entering = F.pad(encoded[-1], SAME) if encoded else images
            encoded.append(self.encode[stride](F.relu(self.enter[stride](entering))))
        features = encoded[-1]
        if self.lstm is not None:
            features, memory = self.lstm(features, memory)
        for stride in reversed(range(STRIDES)):
            if stride < STRIDES - 1:
                features = F.relu(self.up[stride](features)) + encoded[stride]
            features = self.decode[stride](features)
        return self.leave(features), memory

    def from_published(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the variables of the authors' TensorFlow checkpoints under our names and in our layout.

        Kernels (height, width, in, out), of transposed convolutions (height, width, out, in), are turned; what the
        optimiser keeps is left away.
        """
        ours: dict[str, Tensor] = {}
        for key, value in weights.items():
            if key.rpartition("/")[2] in OPTIMISER:
                continue
            dotted = key.replace("/", ".").replace("weights", "weight").replace("biases", "bias")
            name = rename(dotted, PUBLISHED)
            ours[key if name == dotted else name] = value.permute(3, 2, 0, 1) if value.dim() == 4 else value
        return ours


class ConvLSTM(nn.Module):
    """A convolutional LSTM of 3x3 kernels: what coarser scales saw, for the finer ones.

    Source: Shi et al., NeurIPS 2015, arXiv:1506.04214, without peepholes; the gates in TensorFlow's order, with its
    forget bias.
    """

    forget_bias = 1.0

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gates = nn.Conv2d(2 * channels, 4 * channels, 3, padding=1)

    def forward(self, features: Tensor, memory: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return the output (B, C, H, W) and the memory (B, 2C, H, W) of a step; a memory of None is empty."""
        if memory is None:
            memory = torch.cat([torch.zeros_like(features)] * 2, dim=1)
        cell, hidden = memory.chunk(2, dim=1)
        into, new, forget, out = self.gates(torch.cat([features, hidden], dim=1)).chunk(4, dim=1)
        cell = cell * torch.sigmoid(forget + self.forget_bias) + torch.sigmoid(into) * torch.tanh(new)
        hidden = torch.tanh(cell) * torch.sigmoid(out)
        return hidden, torch.cat([cell, hidden], dim=1)


def double(image: Tensor) -> Tensor:
    """Enlarge (B, C, H, W) to twice its sides, bilinearly and from pixel 0 on: no half-pixel offset.

    Example:
        >>> double(torch.tensor([[[[0.0, 1.0]]]]))
        tensor([[[[0.0000, 0.5000, 1.0000, 1.0000],
                  [0.0000, 0.5000, 1.0000, 1.0000]]]])
    """
    for dim in (2, 3):
        following = torch.cat([image.narrow(dim, 1, image.shape[dim] - 1), image.narrow(dim, -1, 1)], dim=dim)
        image = torch.stack([image, (image + following) / 2], dim=dim + 1).flatten(dim, dim + 1)
    return image


# Last names of what TensorFlow saves beside the weights.
OPTIMISER = ("Adam", "Adam_1", "beta1_power", "beta2_power", "global_step")

# Published names, slashes written as dots. Blocks of the encoder count up from 2, those of the decoder down from 3.
PUBLISHED: Renaming = [
    (r"g_net\.enc([1-3])_1", lambda size: f"enter.{int(size) - 1}"),
    (
        r"g_net\.enc([1-3])_([2-4])\.conv([12])",
        lambda size, n, conv: f"encode.{int(size) - 1}.{int(n) - 2}.{('first', 'second')[int(conv) - 1]}",
    ),
    (r"g_net\.convLSTM\.LSTM_conv", lambda: "lstm.gates"),
    (
        r"g_net\.dec([1-3])_([1-3])\.conv([12])",
        lambda size, n, conv: f"decode.{int(size) - 1}.{3 - int(n)}.{('first', 'second')[int(conv) - 1]}",
    ),
    (r"g_net\.dec([12])_4", lambda size: f"up.{int(size) - 1}"),
    (r"g_net\.dec1_0", lambda: "leave"),
]
