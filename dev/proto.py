"""The proto tool chain: generate the Python of the contract, and prove it fresh and compatible.

    python dev/proto.py generate   write the generated code (make proto)
    python dev/proto.py verify     compare it with the protos, lint them, look for breaking changes
    python dev/proto.py baseline   take the protos of today as what `buf breaking` compares with

The protos import buf/validate/validate.proto, which is fetched from protovalidate's source package
into the git-ignored third_party/; only what is generated from it is committed.
"""

import argparse
import filecmp
import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

REPOSITORY: Final = Path(__file__).resolve().parent.parent
PROTOS: Final = REPOSITORY / "proto"
BASELINE: Final = PROTOS / "baseline.binpb"
THIRD_PARTY: Final = REPOSITORY / "third_party" / "proto"
GENERATED: Final = REPOSITORY / "runtime"

# The last release of protovalidate that carries the .proto file.
RULES_PACKAGE: Final = "protovalidate==1.2.0"
RULES_PACKAGE_SHA256: Final = "4cb9a5065f32abc9baf2cf25c5bd09a139f7dffb7b8692f636a8e3e6883bb9a2"
RULES_MEMBER: Final = "protovalidate-1.2.0/upstream/proto/buf/validate/validate.proto"
RULES: Final = "buf/validate/validate.proto"
RULES_SHA256: Final = "817951eab518442950f1982be24b2c3154b214b40e42f49b915cbf5181e6ee80"


class RulesUnavailableError(Exception):
    """validate.proto is not in third_party/ and its source package cannot be fetched."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command of the tool chain and return its exit code."""
    commands: dict[str, Callable[[], int]] = {
        "generate": generate,
        "verify": verify,
        "baseline": take_baseline,
    }
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("command", choices=commands)
    try:
        return commands[parser.parse_args(arguments).command]()
    except RulesUnavailableError as problem:
        print(problem, file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as failure:
        # The tool has said what is wrong, on standard error.
        return failure.returncode


def generate() -> int:
    """Bring the generated code in runtime/ in step with the protos, and delete what is stale."""
    fetch_rules()
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder)
        compile_protos(fresh)
        for stale in differing(fresh, GENERATED):
            if (fresh / stale).exists():
                (GENERATED / stale).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(fresh / stale, GENERATED / stale)
                print(f"wrote {GENERATED.name}/{stale}")
            else:
                (GENERATED / stale).unlink()
                print(f"deleted {GENERATED.name}/{stale}")
    return 0


def verify() -> int:
    """Say whether the generated code is fresh and the protos are well-formed and compatible."""
    try:
        fetch_rules()
    except RulesUnavailableError as problem:
        print(f"verify: {problem}", file=sys.stderr)
        print(
            "verify: skipped the freshness of the generated code, buf lint and buf breaking; "
            "run `make verify` again where the package index can be reached.",
            file=sys.stderr,
        )
        return 0
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder)
        compile_protos(fresh)
        stale = differing(fresh, GENERATED)
    for path in stale:
        print(f"stale: {GENERATED.name}/{path}; run `make proto` and commit it", file=sys.stderr)
    buf("lint", "proto")
    buf("format", "proto", "--diff", "--exit-code")
    if BASELINE.exists():
        buf("breaking", "proto", "--against", str(BASELINE))
    return 1 if stale else 0


def take_baseline() -> int:
    """Write the descriptor image that later protos must stay compatible with."""
    fetch_rules()
    buf("build", "proto", "--exclude-source-info", "--output", str(BASELINE))
    print(f"wrote {BASELINE.relative_to(REPOSITORY)}")
    return 0


def fetch_rules() -> None:
    """Put validate.proto into third_party/, unless the pinned one is there already.

    Raises:
        RulesUnavailableError: The source package could not be downloaded.
    """
    target = THIRD_PARTY / RULES
    if target.exists() and hashlib.sha256(target.read_bytes()).hexdigest() == RULES_SHA256:
        return
    with tempfile.TemporaryDirectory() as folder:
        archive = download_rules_package(Path(folder))
        with tarfile.open(archive) as package:
            member = package.extractfile(RULES_MEMBER)
            assert member is not None, f"{RULES_MEMBER} is not a file in {archive.name}"
            rules = member.read()
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(rules)


def download_rules_package(folder: Path) -> Path:
    """Download the pinned source package into a folder; pip refuses another hash.

    Raises:
        RulesUnavailableError: pip found no index, no such package, or another hash.
    """
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{RULES_PACKAGE} --hash=sha256:{RULES_PACKAGE_SHA256}\n")
    download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    # pip reads a source package's metadata with its build back end, which is in our environment.
    download += ["--no-binary", ":all:", "--no-build-isolation", "--require-hashes"]
    outcome = subprocess.run(
        [*download, "--requirement", str(requirements), "--dest", str(folder)],
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if outcome.returncode != 0:
        raise RulesUnavailableError(
            f"{RULES} is missing, and pip could not download the source package "
            f"{RULES_PACKAGE}:\n{outcome.stderr.strip()}"
        )
    return next(folder.glob("protovalidate-*.tar.gz"))


def compile_protos(target: Path) -> None:
    """Generate messages, gRPC stubs and their types for all protos into an empty folder.

    Raises:
        subprocess.CalledProcessError: protoc refused a file and has said why.
    """
    plugins = Path(sys.executable).parent
    contract = sorted(str(path.relative_to(PROTOS)) for path in PROTOS.rglob("*.proto"))
    protoc = [sys.executable, "-m", "grpc_tools.protoc", f"-I{PROTOS}", f"-I{THIRD_PARTY}"]
    messages = [
        f"--plugin=protoc-gen-mypy={plugins / 'protoc-gen-mypy'}",
        f"--python_out={target}",
        f"--mypy_out=quiet,readable_stubs:{target}",
    ]
    services = [
        f"--plugin=protoc-gen-mypy_grpc={plugins / 'protoc-gen-mypy_grpc'}",
        f"--grpc_python_out={target}",
        f"--mypy_grpc_out=quiet,readable_stubs:{target}",
    ]
    subprocess.run([*protoc, *messages, RULES, *contract], check=True)
    with_services = [name for name in contract if name.endswith("_service.proto")]
    if with_services:
        subprocess.run([*protoc, *services, *with_services], check=True)


def differing(fresh: Path, committed: Path) -> list[Path]:
    """List the generated files that are missing, left over or different on one of two sides."""
    names = {*generated_files(fresh), *generated_files(committed)}
    return sorted(name for name in names if not same_file(fresh / name, committed / name))


def generated_files(root: Path) -> Iterator[Path]:
    """Yield the generated modules and stubs below a folder, relative to it."""
    for pattern in ("*_pb2*.py", "*_pb2*.pyi"):
        for path in root.rglob(pattern):
            yield path.relative_to(root)


def same_file(one: Path, other: Path) -> bool:
    """Say whether both files exist with the same bytes."""
    return one.exists() and other.exists() and filecmp.cmp(one, other, shallow=False)


def buf(*arguments: str) -> None:
    """Run buf in the repository.

    Raises:
        subprocess.CalledProcessError: buf found something and has said what.
    """
    executable = Path(sys.executable).parent / "buf"
    subprocess.run([str(executable), *arguments], cwd=REPOSITORY, check=True)


if __name__ == "__main__":
    sys.exit(main())
