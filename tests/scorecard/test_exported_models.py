"""Models of other libraries, made here, play for the scorecard as a function would."""

from pathlib import Path

import numpy as np
import pytest

from rookery.errors import IncompatibleError
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
