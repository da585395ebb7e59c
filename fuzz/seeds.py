"""Seeds for the fuzz targets `archive` and `git`, made by the real tools.

    python3 fuzz/seeds.py FOLDER

writes FOLDER/archive and FOLDER/git. A tool that is not installed is left out.
"""

import os
import pathlib
import struct
import subprocess
import sys
import tempfile

TEXT = "a small text\n" * 3

# What each writes to its standard output, where the files a and d/b are.
ARCHIVES = {
    "gzip": "gzip -c a; gzip -c d/b",
    "bzip2": "bzip2 -c a",
    "xz": "xz -c a; xz -c d/b",
    "lzma": "xz --format=lzma -c a",
    "zstd": "zstd -qc a; zstd -qc d/b",
    "lz4": "lz4 -qc a",
    "tar-gnu": "tar --format=gnu -c a d",
    "tar-pax": "tar --format=posix -c a d",
    "tar-v7": "tar --format=v7 -c a",
    "tar-sparse": "tar -S --format=posix -c hole",
    "tar-sparse-gnu": "tar -S --format=gnu -c hole",
    "tar.gz": "tar cz a d",
    "tar.xz": "tar cJ a d",
    "zip": "zip -qr - a d | cat",
    "zip-file": "zip -q x.zip a d/b; cat x.zip",
    "zip-stored": "zip -q0 y.zip a d/b; cat y.zip",
    "zip-encrypted": "zip -q -P x z.zip a; cat z.zip",
    "zip-in-zip": "zip -q i.zip a; zip -q0 o.zip i.zip d/b; cat o.zip",
    "zip-behind": "printf '#!/bin/sh\\n'; zip -q w.zip a; cat w.zip",
    "zip.gz": "zip -q v.zip a d/b; gzip -c v.zip",
    "jar": "jar cf x.jar a d/b; cat x.jar",
    "ar": "ar rc x.a a d/b; cat x.a",
    "cpio": "printf 'a\\nd/b\\n' | cpio --quiet -o -H newc",
    "cpio-odc": "printf 'a\\nd/b\\n' | cpio --quiet -o -H odc",
}


def shell(command, folder):
    run = subprocess.run(
        ["bash", "-o", "pipefail", "-ec", command],
        cwd=folder,
        capture_output=True,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_AUTHOR_NAME": "a",
            "GIT_AUTHOR_EMAIL": "a@b",
            "GIT_COMMITTER_NAME": "a",
            "GIT_COMMITTER_EMAIL": "a@b",
        },
    )
    if run.returncode:
        print("left out:", command, run.stderr.decode(), file=sys.stderr)
        return None
    return run.stdout


def archives(out, work):
    (work / "d").mkdir()
    (work / "a").write_text(TEXT)
    (work / "d/b").write_text(TEXT * 4)
    with open(work / "hole", "wb") as hole:
        hole.seek(100_000)
        hole.write(b"end")
    for name, command in ARCHIVES.items():
        made = shell(command, work)
        if made:
            (out / name).write_bytes(made)


def section(data):
    return struct.pack("<H", len(data)) + data


KINDS = {b"commit": 1, b"tree": 2, b"blob": 3, b"tag": 4}


def objects(repository):
    """The objects as the target takes them, whole, and one as a delta."""
    listing = shell("git cat-file --batch-all-objects --batch", repository)
    records = b""
    while listing:
        head, listing = listing.split(b"\n", 1)
        oid, kind, size = head.split()
        body, listing = listing[: int(size)], listing[int(size) + 1 :]
        records += bytes([KINDS[kind], 0]) + section(body)
        last = oid, body
    # Copies what is there and adds three bytes.
    oid, body = last
    length = len(body)
    sizes = bytes([length & 0x7F | 0x80, length >> 7, (length + 3) & 0x7F | 0x80, (length + 3) >> 7])
    delta = sizes + bytes([0xB0, length & 0xFF, length >> 8]) + b"\x03xyz"
    records += bytes([6, 0]) + section(delta)
    records += bytes([7, 0]) + bytes.fromhex(oid.decode()) + section(delta)
    return records


def repositories(out, work):
    for name, options in [("sha1", ""), ("sha256", "--object-format=sha256")]:
        made = shell(
            f"""
            git init -q {options} -b main {name}; cd {name}
            for n in 1 2 3; do
              mkdir -p d; seq 1 40 >d/a; echo $n >>d/a; git add -A; git commit -qm "c $n"
            done
            git tag -a -m t v1; gzip -c d/a >z; git add z; git commit -qm z
            git repack -adq; git pack-refs --all
            git bundle create -q ../{name}.bundle --all
            """,
            work,
        )
        if made is None:
            continue
        repository = work / name
        refs = (repository / ".git/packed-refs").read_bytes()
        pack = next(repository.glob(".git/objects/pack/*.pack"))
        index = pack.with_suffix(".idx").read_bytes()
        store = b"\0" + section(refs) + section(index) + pack.read_bytes()
        (out / f"{name}-store").write_bytes(store)
        head = (work / f"{name}.bundle").read_bytes().split(b"PACK")[0]
        if name == "sha1":
            records = objects(repository)
            (out / f"{name}-pack").write_bytes(b"\1" + section(refs) + records)
            (out / f"{name}-bundle").write_bytes(b"\3" + section(head) + records)
        for kind in ["blob", "tree", "commit"]:
            body = b"text\n" * 20
            loose = kind.encode() + b" %d\0" % len(body) + body
            (out / f"{name}-loose-{kind}").write_bytes(b"\2" + section(refs) + loose)


def main():
    folder = pathlib.Path(sys.argv[1])
    for name, make in [("archive", archives), ("git", repositories)]:
        out = folder / name
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as work:
            make(out, pathlib.Path(work))


main()
