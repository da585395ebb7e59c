"""The licences of everything that is linked into the program, in one text."""

import json
import re
import subprocess
from pathlib import Path

# Of the program's targets one is enough: what they link differs in nothing but
# the architecture.
TARGET = "x86_64-unknown-linux-gnu"
NAMES = re.compile(r"^(UN)?(LICEN[CS]E|COPYING|NOTICE|COPYRIGHT)([-._].*)?$", re.I)
# Not part of what is linked.
ASIDE = {"tests", "test", "benches", "examples", "fuzz", "docs", "doc", "contrib", "programs"}
# For crates that come without a text.
MIT = """\
Copyright (c) the authors of {repository}

Permission is hereby granted, free of charge, to any person obtaining a copy of
this software and associated documentation files (the "Software"), to deal in
the Software without restriction, including without limitation the rights to
use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of
the Software, and to permit persons to whom the Software is furnished to do so,
subject to the following conditions:

The above copyright notice and this permission notice shall be included in all
copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS
FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER
IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN
CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
"""
# The Rust standard library, which no manifest names.
STANDARD_LIBRARY = ("The Rust standard library", "MIT OR Apache-2.0", "the Rust project developers")


def third_party(repository):
    """The text; fails where a licence has no text."""
    packages = linked(repository)
    texts, used_by, heads = {}, {}, []
    for package in packages:
        name = f"{package['name']} {package['version']}"
        found = license_files(package)
        if not found:
            found = [standard(package)]
        authors = ", ".join(re.sub(r"\s*<[^>]*>", "", a) for a in package["authors"])
        heads.append((name, package["license"] or "see its text", authors))
        for text in found:
            # The same text with other line ends or indentation is the same.
            key = " ".join(text.split())
            texts.setdefault(key, text.strip("\n"))
            used_by.setdefault(key, []).append(name)
    heads.append(STANDARD_LIBRARY)
    out = ["rolecall is licensed under the Apache License 2.0. It holds these libraries:\n"]
    for name, expression, authors in heads:
        out.append(f"  {name}: {expression}" + (f" ({authors})" if authors else ""))
    for key, text in texts.items():
        names = ", ".join(dict.fromkeys(used_by[key]))
        out.append(f"\n{'=' * 78}\nOf {names}:\n\n{text}")
    return "\n".join(line.rstrip() for line in "\n".join(out).splitlines()) + "\n"


def linked(repository):
    """The packages that the program is linked from, by name."""
    command = ["cargo", "metadata", "--locked", "--format-version=1", "--filter-platform", TARGET]
    metadata = json.loads(subprocess.check_output(command, cwd=repository))
    packages = {package["id"]: package for package in metadata["packages"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    root = metadata["resolve"]["root"]
    seen, todo = set(), [root]
    while todo:
        here = todo.pop()
        if here in seen:
            continue
        seen.add(here)
        for dependency in nodes[here]["deps"]:
            if any(kind["kind"] is None for kind in dependency["dep_kinds"]):
                todo.append(dependency["pkg"])
    seen.remove(root)
    return sorted((packages[one] for one in seen), key=lambda p: (p["name"], p["version"]))


def license_files(package):
    root = Path(package["manifest_path"]).parent
    found = []
    for path in sorted(root.rglob("*")):
        below = path.relative_to(root)
        named = package["license_file"] and below == Path(package["license_file"])
        if (named or NAMES.match(path.name)) and path.is_file() and path.suffix not in {".rs", ".py", ".sh"}:
            if not ASIDE.intersection(below.parts):
                text = path.read_text(encoding="utf-8", errors="replace")
                # An alternative to a permissive one, or of tools that are not
                # linked.
                if "GENERAL PUBLIC LICENSE" not in text[:200]:
                    found.append(text)
    return found


def standard(package):
    if "MIT" in (package["license"] or "").split():
        return MIT.format(repository=package["repository"])
    raise SystemExit(f"{package['name']} has no text of its licence, {package['license']}")
