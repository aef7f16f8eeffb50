"""The five event types of EPCIS 2.0, and events of types of one's own.

Follows the EPCIS 2.0 standard, sections 7.3 to 7.4, in the JSON binding of section 10.
Where GS1's published JSON schema is laxer than that text, the schema decides here,
because partners validate with it. Known differences, all on the lax side:

- an AggregationEvent needs no `parentID`, whatever its action;
- an empty `epcList` will do for an ObjectEvent or a TransactionEvent;
- `childEPCs`, and the `epcList` of a TransactionEvent, may name one item twice;
- members of `readPoint` and `bizLocation` other than `id` are not looked at;
- of an event whose type is a URI of one's own, only the members that all events share are looked at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from node.epcis.checks import terms
from node.epcis.checks.faults import NONE, Check, Fault, fault, under
from node.epcis.checks.shapes import (
    Rule,
    boolean,
    form,
    is_filled,
    listing,
    members,
    number,
    term,
    text,
    time,
    uri,
    word,
)
from node.epcis.checks.texts import HEX, OFFSET, UNIT

_CBV: Final = terms.CBV_NAMESPACES
_GS1: Final = terms.GS1_VOCABULARY_NAMESPACES

# --- parts of events ---------------------------------------------------------------

_context_list: Final = listing(lambda item: NONE if isinstance(item, dict) else uri(item), unique=True)


def context(value: object) -> Sequence[Fault]:
    """A JSON-LD context: a URI, an object of prefixes, or a list of these without repetition."""
    if isinstance(value, dict):
        return NONE
    return _context_list(value) if isinstance(value, list) else uri(value)


_unique_uris: Final = listing(uri, unique=True)
_uris: Final = listing(uri)


def _certification(value: object) -> Sequence[Fault]:
    return _uris(value) if isinstance(value, list) else uri(value)


_place: Final = members({"id": uri}, required=("id",))
_quantities: Final = listing(
    members(
        {"epcClass": uri, "quantity": number, "uom": form(UNIT, "a unit code of two or three capitals or digits")},
        required=("epcClass",),
        others="none",
    )
)
_disposition: Final = term(terms.DISPOSITIONS, "a disposition", namespaces=_CBV)


def _sets_or_unsets(holder: Mapping[str, object]) -> Sequence[Fault]:
    if "set" in holder or "unset" in holder:
        return NONE
    return fault("incomplete", "a persistent disposition sets or unsets something")


_persistent_disposition: Final = members(
    {name: listing(_disposition, least=1, unique=True) for name in ("set", "unset")},
    others="none",
    rules=(_sets_or_unsets,),
)
_transaction: Final = members(
    {
        "type": term(terms.BUSINESS_TRANSACTIONS, "a type of business transaction", namespaces=_CBV),
        "bizTransaction": uri,
    },
    required=("bizTransaction",),
    others="none",
)


def _parties(name: str) -> Check:
    kind = term(terms.PARTIES, f"a type of {name}", namespaces=_CBV)
    return listing(members({"type": kind, name: uri}, required=("type", name), others="none"))


_error_declaration: Final = members(
    {
        "declarationTime": time,
        "reason": term(terms.ERROR_REASONS, "a reason of an error", namespaces=_CBV),
        "correctiveEventIDs": _uris,
    },
    required=("declarationTime",),
    others="extensions",
)

_DEVICE: Final[dict[str, Check]] = {
    "time": time,
    **dict.fromkeys(("deviceID", "deviceMetadata", "rawData", "dataProcessingMethod", "bizRules"), uri),
}
_sensor_report: Final = members(
    {
        **_DEVICE,
        "type": term(terms.MEASUREMENTS, "a type of measurement", namespaces=_GS1),
        "exception": term(terms.ALERTS, "a type of alert", namespaces=_GS1),
        "component": term(terms.COMPONENTS, "a component", namespaces=_CBV),
        "stringValue": text,
        "booleanValue": boolean,
        "hexBinaryValue": form(HEX, "hexadecimal"),
        "uom": text,
        **dict.fromkeys(("microorganism", "chemicalSubstance", "coordinateReferenceSystem", "uriValue"), uri),
        **dict.fromkeys(("value", "minValue", "maxValue", "meanValue", "sDev", "percRank", "percValue"), number),
    },
    required=("type",),
    others="extensions",
)
_sensors: Final = listing(
    members(
        {
            "sensorMetadata": members({**_DEVICE, "startTime": time, "endTime": time}, others="extensions"),
            "sensorReport": listing(_sensor_report, least=1),
        },
        required=("sensorReport",),
        others="extensions",
    )
)


# `ilmd` holds extensions only: what an industry and its firms say of a batch.
_instance_description: Final = members({}, others="extensions")


# --- what all events have, and most --------------------------------------------------

_COMMON: Final[dict[str, Check]] = {
    "@context": context,
    "type": text,
    "eventTime": time,
    "recordTime": time,
    "eventTimeZoneOffset": form(OFFSET, "an offset between -14:00 and +14:00"),
    "eventID": uri,
    "certificationInfo": _certification,
    "errorDeclaration": _error_declaration,
}
_ALWAYS: Final = ("type", "eventTime", "eventTimeZoneOffset")
_WHY_AND_WHERE: Final[dict[str, Check]] = {
    "bizStep": term(terms.BUSINESS_STEPS, "a business step", namespaces=_CBV),
    "disposition": _disposition,
    "readPoint": _place,
    "bizLocation": _place,
    "bizTransactionList": listing(_transaction),
    "sourceList": _parties("source"),
    "destinationList": _parties("destination"),
    "sensorElementList": _sensors,
}
_ACTION: Final[dict[str, Check]] = {"action": word(terms.ACTIONS, "ADD, OBSERVE or DELETE")}
_CHILDREN: Final[dict[str, Check]] = {"parentID": uri, "childEPCs": _uris, "childQuantityList": _quantities}

# --- rules over whole events -----------------------------------------------------------


def _object_says_of_what(event: Mapping[str, object]) -> Sequence[Fault]:
    if "epcList" in event or is_filled(event, "quantityList"):
        return NONE
    if is_filled(event, "sensorElementList") and "readPoint" in event:
        return NONE
    return fault("incomplete", "an epcList, a filled quantityList, or sensor elements with a readPoint are due")


def _description_only_when_added(event: Mapping[str, object]) -> Sequence[Fault]:
    if "ilmd" not in event or event.get("action") == "ADD":
        return NONE
    return under("ilmd", fault("contradiction", "ilmd goes with the action ADD only"))


def _children_unless_deleted(event: Mapping[str, object]) -> Sequence[Fault]:
    if event.get("action") == "DELETE" or is_filled(event, "childEPCs", "childQuantityList"):
        return NONE
    return fault("incomplete", "childEPCs or childQuantityList must name a child, unless the action is DELETE")


def _transaction_says_of_what(event: Mapping[str, object]) -> Sequence[Fault]:
    if event.get("action") == "DELETE" or "epcList" in event or is_filled(event, "quantityList"):
        return NONE
    return fault("incomplete", "an epcList or a filled quantityList is due, unless the action is DELETE")


def _inputs_and_outputs(event: Mapping[str, object]) -> Sequence[Fault]:
    inputs = is_filled(event, "inputEPCList", "inputQuantityList")
    outputs = is_filled(event, "outputEPCList", "outputQuantityList")
    if (inputs and outputs) or ("transformationID" in event and (inputs or outputs)):
        return NONE
    return fault("incomplete", "inputs and outputs are due; with a transformationID, one of the two")


# --- the event types ---------------------------------------------------------------------


def _event(special: dict[str, Check], *, required: tuple[str, ...], rules: tuple[Rule, ...]) -> Check:
    known = {**_COMMON, **_WHY_AND_WHERE, **special}
    return members(known, required=(*_ALWAYS, *required), others="extensions", rules=rules)


_BY_TYPE: Final[dict[str, Check]] = {
    "ObjectEvent": _event(
        {
            **_ACTION,
            "epcList": _unique_uris,
            "quantityList": _quantities,
            "persistentDisposition": _persistent_disposition,
            "ilmd": _instance_description,
        },
        required=("action",),
        rules=(_object_says_of_what, _description_only_when_added),
    ),
    "AggregationEvent": _event({**_ACTION, **_CHILDREN}, required=("action",), rules=(_children_unless_deleted,)),
    "AssociationEvent": _event(
        {**_ACTION, **_CHILDREN}, required=("action", "parentID"), rules=(_children_unless_deleted,)
    ),
    "TransactionEvent": _event(
        {
            **_ACTION,
            "bizTransactionList": listing(_transaction, least=1),
            "parentID": uri,
            "epcList": _uris,
            "quantityList": _quantities,
        },
        required=("action", "bizTransactionList"),
        rules=(_transaction_says_of_what,),
    ),
    "TransformationEvent": _event(
        {
            "inputEPCList": _unique_uris,
            "inputQuantityList": _quantities,
            "outputEPCList": _unique_uris,
            "outputQuantityList": _quantities,
            "transformationID": uri,
            "persistentDisposition": _persistent_disposition,
            "ilmd": _instance_description,
        },
        required=(),
        rules=(_inputs_and_outputs,),
    ),
}
assert set(_BY_TYPE) == set(terms.EVENT_TYPES), "every type has its check"

_of_own_type: Final = members({**_COMMON, "type": uri}, required=_ALWAYS)
_of_no_type: Final = members(_COMMON, required=_ALWAYS)


def check_event(value: object) -> list[Fault]:
    """The faults of one event as it stands in a document's list; paths begin at the event."""
    kind = value.get("type") if isinstance(value, dict) else None
    if not isinstance(kind, str):
        return list(_of_no_type(value))
    return list(_BY_TYPE.get(kind, _of_own_type)(value))
