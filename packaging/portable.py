"""Programs that run wherever glibc is 2.26 or later, for x86_64 and aarch64.

They are linked by zig, which has the symbol versions of every glibc.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

# Amazon Linux 2, the oldest.
GLIBC = (2, 26)
MAX_BYTES = 12_000_000
TOOLS = ["ziglang==0.15.2", "cargo-zigbuild==0.24.0"]
# zig's compiler no longer takes the AVX-512 functions of libdeflate, which has
# others for every processor.
CFLAGS = (
    "-DLIBDEFLATE_ASSEMBLER_DOES_NOT_SUPPORT_AVX512VNNI"
    " -DLIBDEFLATE_ASSEMBLER_DOES_NOT_SUPPORT_VPCLMULQDQ"
)
# Debian's standard library for the other architecture, for where rustup can
# fetch none. The compiler that made it has to come along.
DEBIAN = "http://deb.debian.org/debian-security bookworm-security main"
DEBIAN_VERSION = "1.96.0+dfsg1-1~deb12u2"
DEBIAN_PACKAGES = [
    "rustc-web:amd64",
    "libstd-rust-web-1.96:amd64",
    "libstd-rust-web-dev:amd64",
    "libstd-rust-web-dev:arm64",
]


def build(repository, target_dir, architecture):
    """Builds the program; where it is."""
    tools = install_tools(target_dir)
    target = f"{architecture}-unknown-linux-gnu"
    environment = dict(os.environ, PATH=f"{tools}:{os.environ['PATH']}", CFLAGS=CFLAGS)
    if not has_std(target, None):
        environment["RUSTC"] = str(debian_compiler(target_dir))
        if not has_std(target, environment["RUSTC"]):
            raise SystemExit(f"there is no standard library for {target}")
    glibc = ".".join(map(str, GLIBC))
    command = ["cargo", "zigbuild", "--locked", "--release", "--bin=rolecall"]
    command.append(f"--target={target}.{glibc}")
    subprocess.run(command, cwd=repository, env=environment, check=True)
    program = target_dir / target / "release/rolecall"
    check(program)
    return program


def check(program):
    needed = glibc_of(program)
    if needed > GLIBC:
        raise SystemExit(f"{program} needs glibc {needed[0]}.{needed[1]}")
    size = program.stat().st_size
    if size > MAX_BYTES:
        raise SystemExit(f"{program} has {size} bytes, more than {MAX_BYTES}")
    print(f"{program}: {size} bytes, glibc {needed[0]}.{needed[1]} or later")


def glibc_of(program):
    """The latest version of glibc that a symbol of the program asks for."""
    command = ["readelf", "--wide", "--version-info", program]
    text = subprocess.check_output(command, text=True)
    versions = re.findall(r"Name: GLIBC_(\d+)\.(\d+)", text)
    if not versions:
        raise SystemExit(f"{program} names no version of glibc")
    return max((int(major), int(minor)) for major, minor in versions)


def install_tools(target_dir):
    environment = target_dir / "tools/zig"
    if not (environment / "bin/cargo-zigbuild").exists():
        subprocess.run([sys.executable, "-m", "venv", environment], check=True)
        subprocess.run([environment / "bin/pip", "install", "--quiet", *TOOLS], check=True)
    return environment / "bin"


def has_std(target, compiler):
    command = [compiler or "rustc", "--print=target-libdir", "--target", target]
    directory = Path(subprocess.check_output(command, text=True).strip())
    if any(directory.glob("libstd-*.rlib")):
        return True
    if compiler:
        return False
    added = subprocess.run(["rustup", "target", "add", target], capture_output=True, check=False)
    return added.returncode == 0 and any(directory.glob("libstd-*.rlib"))


def debian_compiler(target_dir):
    """Debian's compiler with both standard libraries, in a directory."""
    root = target_dir / "tools/debian-rust"
    wrapper = root / "rustc"
    if wrapper.exists():
        return wrapper
    apt = root / "apt"
    (apt / "lists/partial").mkdir(parents=True, exist_ok=True)
    (apt / "archives/partial").mkdir(parents=True, exist_ok=True)
    (apt / "status").touch()
    key = "/usr/share/keyrings/debian-archive-keyring.gpg"
    (apt / "sources.list").write_text(f"deb [arch=amd64,arm64 signed-by={key}] {DEBIAN}\n")
    settings = {
        "Dir::State": apt,
        "Dir::State::lists": apt / "lists",
        "Dir::State::status": apt / "status",
        "Dir::Cache": apt,
        "Dir::Etc::sourcelist": apt / "sources.list",
        "Dir::Etc::sourceparts": "-",
        "APT::Sandbox::User": "root",
        "APT::Architectures::": "arm64",
    }
    options = [part for name, value in settings.items() for part in ("-o", f"{name}={value}")]
    subprocess.run(["apt-get", *options, "--quiet=2", "update"], check=True)
    names = [f"{name}={DEBIAN_VERSION}" for name in DEBIAN_PACKAGES] + ["libllvm22:amd64"]
    subprocess.run(["apt-get", *options, "--quiet=2", "download", *names], cwd=root, check=True)
    for package in root.glob("*.deb"):
        subprocess.run(["dpkg", "-x", package, root], check=True)
    wrapper.write_text(
        "#!/bin/sh\n"
        f"export LD_LIBRARY_PATH='{root}/usr/lib/x86_64-linux-gnu'\n"
        f"exec '{root}/usr/bin/rustc' --sysroot '{root}/usr' \"$@\"\n"
    )
    wrapper.chmod(0o755)
    return wrapper
