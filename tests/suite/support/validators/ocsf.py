"""Validates JSON Lines on standard input against OCSF 1.8, with exactly the
profiles that each event names. Prints what is wrong, one sentence a line."""

import json
import sys

from jsonschema import Draft202012Validator
from ocsf_json_schema import get_ocsf_schema
from ocsf_json_schema.embedded import OcsfJsonSchemaEmbedded

schemas = OcsfJsonSchemaEmbedded(get_ocsf_schema(version="1.8.0"))
validators = {}


def validator(class_uid, profiles):
    key = (class_uid, *profiles)
    if key not in validators:
        name = schemas.lookup_class_name_from_uid(class_uid)
        schema = schemas.get_class_schema(name, profiles)
        validators[key] = Draft202012Validator(schema)
    return validators[key]


for number, line in enumerate(sys.stdin, 1):
    event = json.loads(line)
    profiles = sorted(event["metadata"]["profiles"])
    for error in validator(event["class_uid"], profiles).iter_errors(event):
        print(f"event {number}: {error.json_path}: {error.message[:300]}")
