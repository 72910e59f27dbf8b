"""A network as an ONNX file for images of any size: what torch traced, with the padding around it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from deblur_lit.export.traced import Restoring, Sharing, trace
from deblur_lit.networks.blocks import DeblurNetwork
from deblur_lit.predict.onnx_backend import BLUR, CUT, GIVEN, MEANS, POOLED, RESTORED
from deblur_lit.predict.onnx_facts import KEY, Facts

PADDED, UNCROPPED = "padded_blur", "padded_restored"  # inside the file
EXTRA = "pip install 'deblur_lit[export]'"

# For each axis: the padded side, and where its pixels come from; names end in the axis.
SIDE = """
  axis_A = Constant <value_ints: ints = [A]> ()
  side_A = Gather <axis: int = 0> (size, axis_A)
  grown_A = Add (side_A, extra)
  step_A = Constant <value_ints: ints = [STEP]> ()
  almost_A = Add (grown_A, step_A)
  above_A = Sub (almost_A, one)
  steps_A = Div (above_A, step_A)
  rounded_A = Mul (steps_A, step_A)
  least_A = Constant <value_ints: ints = [LEAST]> ()
  padded_A = Max (rounded_A, least_A)
  added_A = Sub (padded_A, side_A)
  short_A = GreaterOrEqual (added_A, side_A)
"""
PLACES = """
  end_A = Squeeze (padded_A)
  places_A = Range (zero, end_A, single)
  last_A = Sub (side_A, one)
  border_A = Min (places_A, last_A)
  twice_A = Add (last_A, last_A)
  back_A = Sub (twice_A, places_A)
  mirrored_A = Min (places_A, back_A)
  taken_A = Where (plain, border_A, mirrored_A)
"""
HEAD = """
  size = Shape (blur)
  one = Constant <value_ints: ints = [1]> ()
  single = Constant <value_int: int = 1> ()
  zero = Constant <value_int: int = 0> ()
  extra = Constant <value_ints: ints = [EXTRA]> ()
"""
PLAIN = {"reflect": "plain = Or (short_2, short_3)", "replicate": "plain = Constant <value = bool {1}> ()"}
GATHERED = """
  rows_taken = Gather <axis: int = 2> (blur, taken_2)
  padded_blur = Gather <axis: int = 3> (rows_taken, taken_3)
"""
FILLED = """
  nothing = Constant <value_ints: ints = [0, 0, 0, 0, 0, 0]> ()
  pads = Concat <axis: int = 0> (nothing, added_2, added_3)
  filling = Constant <value_float: float = VALUE> ()
  padded_blur = Pad <mode: string = "constant"> (blur, pads, filling)
"""
CROP = """
  axes = Constant <value_ints: ints = [2, 3]> ()
  begin = Constant <value_ints: ints = [0, 0]> ()
  sides = Concat <axis: int = 0> (side_2, side_3)
  restored = Slice (padded_restored, begin, sides, axes)
"""


def write_onnx(network: DeblurNetwork, facts: Facts, path: Path) -> None:
    """Write a network.

    The input `blur` is (batch, 3, height, width), RGB in [0, 1], of any size; the output `restored` has its shape and
    is not clamped. For a network that pools whole images the batch is parts of one image; it has further inputs with
    defaults (see `traced.Sharing`) and the output `pooled`. The metadata hold `facts` as JSON under `deblur_lit`.

    Raises:
        ValueError: if the network has no program for images of any size, or the extra `export` is not installed.
    """
    try:
        import onnx
        import onnxscript  # noqa: F401, the exporter is written in it
    except ImportError as error:
        raise ValueError(f"--format onnx takes {error.name}: {EXTRA}") from None
    further = _defaults(facts.means) if facts.means else {}
    module = Sharing(network) if facts.means else Restoring(network)
    program = trace(module, facts.step, facts.least, further)
    outputs = [UNCROPPED, *([POOLED] if further else [])]
    try:
        made: Any = torch.onnx.export(
            program, dynamo=True, verbose=False, input_names=[PADDED, *further], output_names=outputs
        )
    except torch.onnx.OnnxExporterError as error:
        raise ValueError(f"{type(network).__name__} has no form in ONNX: {_last(error)}") from None
    model = made.model_proto
    _strip(model)
    if facts.weights == "float16":
        _halve(model)
    _wrap(model, facts)
    for name, value in further.items():
        model.graph.initializer.append(onnx.numpy_helper.from_array(value.numpy(), name))
    model.producer_name, model.producer_version = "deblur_lit", facts.version
    onnx.helper.set_model_props(model, {KEY: facts.to_json()})
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


def _last(error: BaseException) -> str:
    """Return the first cause of an error, in one line."""
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"


def _defaults(means: int) -> dict[str, torch.Tensor]:
    return {MEANS: torch.zeros(means), GIVEN: torch.tensor(False), CUT: torch.tensor(0)}


def _strip(model: Any) -> None:
    """Remove what the exporter notes of the Python code, paths of this machine among it."""
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        del part.metadata_props[:]
        part.doc_string = ""


def _halve(model: Any) -> None:
    """Store constants that float16 holds exactly in float16, each with a cast to float32 behind it."""
    import onnx

    casts = []
    for constant in model.graph.initializer:
        if constant.data_type != onnx.TensorProto.FLOAT:
            continue
        values = onnx.numpy_helper.to_array(constant)
        with np.errstate(over="ignore"):
            halved = values.astype(np.float16)
        if np.array_equal(halved.astype(np.float32), values):
            name = constant.name
            constant.CopyFrom(onnx.numpy_helper.from_array(halved, f"{name}_half"))
            casts.append(onnx.helper.make_node("Cast", [constant.name], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _wrap(model: Any, facts: Facts) -> None:
    """Put the padding before and the cropping behind what was traced."""
    from onnx import TensorProto, helper, parser

    text = HEAD.replace("EXTRA", str(facts.extra))
    for axis, step, least in zip((2, 3), facts.step, facts.least, strict=True):
        text += (
            SIDE.replace("_A", f"_{axis}")
            .replace("[A]", f"[{axis}]")
            .replace("STEP", str(step))
            .replace("LEAST", str(least))
        )
    if facts.padding == "constant":
        text += FILLED.replace("VALUE", repr(facts.value))
    else:
        text += PLAIN[facts.padding] + "".join(PLACES.replace("_A", f"_{axis}") for axis in (2, 3)) + GATHERED
    nodes = [
        parser.parse_graph(f"g (float[N, 3, H, W] {BLUR}) => (float[N, 3, H, W] {PADDED}) {{{text}}}").node,
        model.graph.node,
        parser.parse_graph(f"g (float[N, 3, H, W] {UNCROPPED}) => (float[N, 3, H, W] {RESTORED}) {{{CROP}}}").node,
    ]
    ordered = [node for part in nodes for node in part]
    del model.graph.node[:]
    model.graph.node.extend(ordered)
    shape = ["parts" if facts.means else "batch", 3, "height", "width"]
    _replace(model.graph.input, helper.make_tensor_value_info(BLUR, TensorProto.FLOAT, shape))
    _replace(model.graph.output, helper.make_tensor_value_info(RESTORED, TensorProto.FLOAT, shape))


def _replace(values: Any, first: Any) -> None:
    """Put another value in the first place."""
    kept: Sequence[Any] = list(values)[1:]
    del values[:]
    values.extend([first, *kept])
