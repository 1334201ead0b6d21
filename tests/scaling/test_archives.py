"""A part's folder on its way between machines that share no disk."""

from rookery.scaling.archives import pack, unpack
from rookery.storage import checkpoint
from rookery.storage.atomic import write_text


def test_what_a_killed_process_left_half_written_stays_where_it_is(tmp_path):
    checkpoint.save(tmp_path / "part" / "checkpoints", 1, {})
    for name in ("a.safetensors", ".a.json.tmp-77-0badcafe-1"):
        write_text(tmp_path / "part" / "agents" / name, "")
    unpack(pack(tmp_path / "part"), tmp_path / "other")
    assert [path.name for path in (tmp_path / "other" / "agents").iterdir()] == ["a.safetensors"]
    assert checkpoint.saved_updates(tmp_path / "other" / "checkpoints") == [1]
