//! The JSON schema of a configuration, for editors.

use super::keys::{ADMIN, COMPONENT, Key, Keys, Kind};
use serde_json::{Map, Value, json};

/// Returns the schema.
pub fn schema(keys: &Keys) -> Value {
    let all: Map<_, _> = keys.iter().map(property).collect();
    let mut defaults = all.clone();
    defaults.remove(COMPONENT);
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Configuration of evconn",
        "type": "object",
        "required": ["service"],
        "additionalProperties": false,
        "properties": {
            ADMIN: {
                "description": "Answer HTTP requests for metrics, probes and control of all services on this address",
                "type": "string",
            },
            "defaults": {
                "description": "Settings of all services that do not have their own",
                "type": "object",
                "additionalProperties": false,
                "properties": defaults,
            },
            "service": {
                "description": "The services, by their names",
                "type": "object",
                "minProperties": 1,
                "additionalProperties": {
                    "type": "object",
                    "required": [COMPONENT],
                    "additionalProperties": false,
                    "properties": all,
                },
            },
        },
    })
}

fn property(key: &Key) -> (String, Value) {
    let mut property = match key.kind {
        Kind::Switch => json!({ "type": "boolean" }),
        Kind::One => value(key),
        Kind::Many => json!({ "anyOf": [value(key), { "type": "array", "items": value(key) }] }),
    };
    property["description"] = Value::from(key.about.as_str());
    (key.name.clone(), property)
}

fn value(key: &Key) -> Value {
    match key.values.is_empty() {
        true => json!({ "type": ["string", "number"] }),
        false => json!({ "enum": key.values }),
    }
}
