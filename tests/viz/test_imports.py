import subprocess
import sys


def test_showing_is_quick_to_import_and_needs_no_jax():
    heavy = "{'jax', 'matplotlib', 'scipy', 'PIL', 'imageio'}"
    code = f"import sys, rookery.viz; print(sorted({heavy} & set(sys.modules)))"
    imported = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert imported.stdout.strip() == "[]"
