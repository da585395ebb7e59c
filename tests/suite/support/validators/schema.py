"""Validates JSON Lines on standard input against a schema of packaging/schema,
given by its path. Prints what is wrong, one sentence a line."""

import json
import pathlib
import sys

from jsonschema import Draft202012Validator
from referencing import Registry, Resource

path = pathlib.Path(sys.argv[1])
registry = Registry()
for other in path.parent.glob("*.json"):
    resource = Resource.from_contents(json.loads(other.read_text()))
    registry = registry.with_resource(resource.id(), resource)
schema = json.loads(path.read_text())
Draft202012Validator.check_schema(schema)
validator = Draft202012Validator(schema, registry=registry)
for number, line in enumerate(sys.stdin, 1):
    for error in validator.iter_errors(json.loads(line)):
        print(f"line {number}: {error.json_path}: {error.message[:300]}")
