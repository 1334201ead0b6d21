"""Models of other libraries, made here, play for the scorecard as a function would."""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from rookery.errors import IncompatibleError
from rookery.scorecard import exported_models
from rookery.scorecard.agents import checked_actions, load_scored_agent
from rookery.scorecard.protocol import OBSERVATION_SHAPES

pytestmark = pytest.mark.filterwarnings("default")  # theirs are not ours to mend

SHAPE = OBSERVATION_SHAPES["symbolic"]
NUM_EPISODES = 2
OBSERVATIONS = np.stack([np.zeros(SHAPE, np.uint8), np.ones(SHAPE, np.uint8)])


def onnx_model(path: Path, state: str = "next_count", batch: int | str = "B", action: str = "INT64") -> Path:
    """The action is the number of calls so far, and 2 more where the observation is 1."""
    pytest.importorskip(
        "onnxruntime", reason="onnxruntime is not installed; pip install -e '.[clients]'", exc_type=ImportError
    )
    onnx = pytest.importorskip(
        "onnx", reason="onnx is not installed; pip install -e '.[clients]'", exc_type=ImportError
    )
    make, types = onnx.helper, onnx.TensorProto

    def vector(name: str, kind: str = "INT64"):
        return make.make_tensor_value_info(name, getattr(types, kind), [batch])

    nodes = [
        make.make_node("Add", ["count", "one"], [state]),
        make.make_node("ReduceMax", ["observation"], ["largest"], axes=[1, 2, 3], keepdims=0),
        make.make_node("Cast", ["largest"], ["whole"], to=types.INT64),
        make.make_node("Add", ["whole", "whole"], ["twice"]),
        make.make_node("Add", ["count", "twice"], ["chosen"]),
        make.make_node("Cast", ["chosen"], ["action"], to=getattr(types, action)),
    ]
    inputs = [make.make_tensor_value_info("observation", types.FLOAT, [batch, *SHAPE]), vector("count")]
    graph = make.make_graph(
        nodes, "counts", inputs, [vector("action", action), vector(state)],
        [make.make_tensor("one", types.INT64, [1], [1])],
    )  # fmt: skip
    onnx.save(make.make_model(graph, opset_imports=[make.make_opsetid("", 17)], ir_version=8), path)
    return path


def torchscript_module(path: Path) -> Path:
    """The same."""
    torch = pytest.importorskip(
        "torch", reason="torch is not installed; pip install -e '.[clients]'", exc_type=ImportError
    )

    class Counts(torch.nn.Module):
        def forward(
            self, observation: torch.Tensor, state: torch.Tensor | None, is_first: torch.Tensor
        ) -> tuple[torch.Tensor, torch.Tensor]:
            before = state if state is not None else torch.zeros(observation.shape[0], dtype=torch.int64)
            before = torch.where(is_first, torch.zeros_like(before), before)
            return before + 2 * observation.flatten(1).amax(1).long(), before + 1

    torch.jit.script(Counts()).save(str(path))
    return path


def play(path: Path, steps: int = 3) -> list[list[int]]:
    agent = load_scored_agent(str(path), "symbolic")
    choose = agent.player(None, NUM_EPISODES, None)  # type: ignore[arg-type] (a function needs neither)
    return [checked_actions(choose(OBSERVATIONS, None, t), (NUM_EPISODES,), agent.name).tolist() for t in range(steps)]


@pytest.mark.parametrize(("make", "name"), [(onnx_model, "model.onnx"), (torchscript_module, "model.pt")])
def test_it_keeps_its_state_and_observes(make, name, tmp_path):
    assert play(make(tmp_path / name)) == [[0, 2], [1, 3], [2, 4]]


def test_an_onnx_model_says_what_it_observes(tmp_path):
    assert load_scored_agent(str(onnx_model(tmp_path / "model.onnx"))).observation_type == "symbolic"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"state": "after"}, "the outputs action, after; it needs .* every state NAME that is an input the output"),
        ({"batch": 3}, "cannot be called with a batch of observations: .*Got: 2 Expected: 3"),
        ({"action": "FLOAT"}, r"returned the action float32\[2\]; it must be whole numbers of shape \(2,\)"),
    ],
)
def test_onnx_models_that_do_not_fit(changes, message, tmp_path):
    path = onnx_model(tmp_path / "model.onnx", **changes)
    with pytest.raises(IncompatibleError, match=message):
        play(path)


@pytest.mark.parametrize(("name", "package"), [("model.onnx", "onnxruntime"), ("model.pt", "torch")])
def test_files_of_something_else(name, package, tmp_path):
    pytest.importorskip(
        package, reason=f"{package} is not installed; pip install -e '.[clients]'", exc_type=ImportError
    )
    path = tmp_path / name
    path.write_text("nothing")
    with pytest.raises(IncompatibleError, match=f"{name} is not an? (ONNX model|TorchScript module)") as caught:
        play(path)
    assert str(caught.value).isprintable()


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Load a model that has one state, of this shape and type, by a stand-in for onnxruntime."""

    def load(shape, kind="tensor(float)", batch="B", content=b""):
        inputs = [
            SimpleNamespace(name="observation", type="tensor(uint8)", shape=[batch, *SHAPE]),
            SimpleNamespace(name="s", type=kind, shape=shape),
        ]
        outputs = [SimpleNamespace(name=name) for name in ("action", "next_s")]

        class Session:
            get_inputs, get_outputs = lambda self: inputs, lambda self: outputs

            def run(self, names, feed):
                return np.zeros(NUM_EPISODES, int), feed["s"]

        runtime = SimpleNamespace(
            InferenceSession=lambda *_, **__: Session(), set_default_logger_severity=lambda level: None
        )
        monkeypatch.setitem(sys.modules, "onnxruntime", runtime)
        path = tmp_path / "model.onnx"
        path.write_bytes(content)
        return load_scored_agent(str(path))

    return load


@pytest.mark.parametrize(
    ("shape", "batch", "expected"),
    [
        (["B", 5], "B", (2, 5)),
        ([1, "sequences", 5], "B", (1, 2, 5)),
        ([None, 5], None, (2, 5)),
        (["B", "B"], "B", (2, 2)),
        ([], "B", ()),
    ],
)
def test_the_batch_sizes_an_onnx_state(shape, batch, expected, load):
    function = load(shape, batch=batch).function
    _, state = function(OBSERVATIONS, None, np.ones(NUM_EPISODES, bool))
    assert state["s"].shape == expected


@pytest.mark.parametrize(
    ("shape", "batch", "axis"),
    [(["h", "B"], "B", 0), (["B", "h"], "B", 1), (["x", 3, "y"], "B", 2), ([None, None], None, 1)],
)
def test_an_onnx_state_of_another_unknown_length_is_refused(shape, batch, axis, load):
    message = (
        rf"the state 's' of shape \[.*\] has another unknown length than that of the batch, in axis {axis}; export"
    )
    with pytest.raises(IncompatibleError, match=message):
        load(shape, batch=batch)


@pytest.mark.parametrize("kind", ["tensor(string)", "seq(tensor(float))", "tensor(bfloat16)"])
def test_an_onnx_input_that_is_no_array_of_numbers_is_refused(kind, load):
    with pytest.raises(
        IncompatibleError, match=r"the input 's' is .*; allowed: tensor\(float\), tensor\(double\), "
    ) as caught:
        load(["B"], kind)
    assert kind in str(caught.value)


def entry(key: bytes, value: bytes) -> bytes:
    """A `StringStringEntryProto`, without the length before it; a value of up to 16,383 bytes."""
    size = len(value)
    length = bytes([size] if size < 128 else [size & 0x7F | 0x80, size >> 7])
    return b"\x0a" + bytes([len(key)]) + key + b"\x12" + length + value


def test_other_weights_in_another_file_are_another_onnx_model(load, tmp_path):
    long_name = "w" * 200
    content = b"j" + entry(b"location", b"m.data") + entry(b"offset", b"0") + entry(b"location", long_name.encode()) * 2
    content += entry(b"location", b"Nowhere") + entry(b"location", b"x" * 5000)  # metadata
    for name in ("m.data", long_name):
        (tmp_path / name).write_bytes(b"1")
    before, alone = (load(["B"], content=content).sha256 for content in (content, b""))
    assert exported_models.external_files(tmp_path / "model.onnx") == ()
    digests = {before, alone}
    for name in ("m.data", long_name):
        (tmp_path / name).write_bytes(b"2")
        digests.add(load(["B"], content=content).sha256)
    assert len(digests) == 4
    assert exported_models.external_files(tmp_path / "model.onnx") == ("m.data", long_name)


def test_onnx_writes_the_name_of_a_file_with_weights_so(tmp_path):
    path = onnx_model(tmp_path / "model.onnx")
    onnx = pytest.importorskip("onnx", exc_type=ImportError)
    model = onnx.load(path)
    one = onnx.numpy_helper.from_array(np.array([1]), "one")  # only raw bytes can be in another file
    model.graph.initializer[0].CopyFrom(one)
    onnx.save_model(model, path, save_as_external_data=True, location="model.data", size_threshold=0)
    assert exported_models.external_files(path) == ("model.data",)
    assert play(path) == [[0, 2], [1, 3], [2, 4]]
