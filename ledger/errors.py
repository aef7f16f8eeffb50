"""The one error tree, sorted by who is at fault.

An error carries fields, not prose: its message is built from `template` and the
fields, and never holds a body, a key or a token. `code` is stable, documented in
docs/reference/errors.md and tested. `hint` says what to do about it.
"""

from __future__ import annotations

from typing import ClassVar


class TallyError(Exception):
    """Root of every error that Tallystick raises on purpose."""

    code: ClassVar[str] = "error"
    template: ClassVar[str] = "{reason}"
    hint: str = ""  # of the class, or what fits one case better

    def __init__(self, **fields: object) -> None:
        self.fields = fields
        super().__init__(self.template.format(**fields))


class BadInput(TallyError):
    """The caller sent something malformed or oversized."""


class NotAllowed(TallyError):
    """The caller is known, and may not do this."""


class NotFound(TallyError):
    """The thing that was named is not here."""


class Conflict(TallyError):
    """The request contradicts what is already stored; carries what a retry needs."""


class BadProof(TallyError):
    """A signature, hash, link or commitment does not hold."""


class Unavailable(TallyError):
    """Nobody is at fault; the same request may succeed later."""


# --- BadInput ----------------------------------------------------------------


class JsonMalformed(BadInput):
    """Not one JSON value that all readers read alike. offset: of the first byte that is wrong, where it is known."""

    code = "json-malformed"
    template = "not strict JSON at byte {offset}: {reason}"
    hint = "Send UTF-8 JSON without comments, NaN or trailing text."


class DuplicateKey(BadInput):
    """Two members of one name: the hash of such a text would not say which of the two was meant."""

    code = "json-duplicate-key"
    template = "the key {key!r} occurs twice in one object"
    hint = "Remove or rename one of the two members; readers of JSON disagree on which one counts."


class TooDeep(BadInput):
    """Refused before any recursive reader saw it."""

    code = "json-too-deep"
    template = "nested deeper than {limit} levels"
    hint = "Flatten the document."


class TooLarge(BadInput):
    """Above a bound of `ledger.limits`; what, got, unit and limit tell which."""

    code = "too-large"
    template = "{what} is {got} {unit}, the limit is {limit}"
    hint = "Send less at a time, or raise the limit in the charter where it is one of the charter's."


class EncodingError(BadInput):
    """A value of one of our own formats that is not spelt in its one way, or lies outside its range."""

    code = "encoding"
    template = "{field}: {reason}"
    hint = "The value is not in its one canonical form; see the page of the format in docs/spec."


class EvidenceKindUnknown(EncodingError):
    """Evidence of a kind that this version cannot judge: later versions may have more. kind: its first letters."""

    code = "evidence-kind-unknown"
    template = "{kind!r} is no kind of evidence that this version knows"
    hint = "Nothing of it was kept. A newer version of this program may be able to judge it."


class FieldUnknown(BadInput):
    """A field was asked for that is not there, or not for this reader: which of the two is not told."""

    code = "field-unknown"
    template = "{what} has no field {name!r}"
    hint = "Fields of the body begin with a slash, as /quantity; `tally records show` lists those that you can read."


class PatternMalformed(BadInput):
    """A pattern that no field can ever match, or that is not a JSON Pointer."""

    code = "pattern-malformed"
    template = "the pattern {pattern!r}: {reason}"
    hint = "A pattern is a JSON Pointer like /price or /lines/*/price; in a key, ~ is written ~0 and / is written ~1."


class PatternsAmbiguous(BadInput):
    """Two rules for one field of which none is more specific: nobody may guess who reads it."""

    code = "patterns-ambiguous"
    template = "{first!r} and {second!r} both claim {overlap!r}"
    hint = "Add a pattern for the part that both claim; it then decides alone."


class PatternOnElement(BadInput):
    """To cut an element out of an array would move those behind it, and their indexes would lie."""

    code = "pattern-on-element"
    template = "the pattern {pattern!r} lands on {name!r}, an element of an array"
    hint = "Elements cannot be cut out: share the whole array, or members of its elements such as /lines/*/price."


class FieldsContradict(BadInput):
    """Fields that cannot all be of one body: each is what its author committed to, together they are nothing."""

    code = "fields-contradict"
    template = "the field {name!r}: {reason}"
    hint = "These fields were not cut from one body; ask their author for the record again."


class ContractMalformed(BadInput):
    """A contract file that cannot be read without being run."""

    code = "contract-malformed"
    template = "line {line}: {reason}"
    hint = "`tally contract lint FILE` lists every fault of the file and what to write instead."


# --- BadProof ----------------------------------------------------------------


class BadSignature(BadProof):
    """A signature of a known key that does not hold. One of an unknown key proves nothing and is no error."""

    code = "bad-signature"
    template = "the signature of {signer} on {what} does not verify"
    hint = "The bytes were changed after signing, or another key signed them."


class MissingSignature(BadProof):
    """Fewer of those who must sign have signed. None of what is there was false."""

    code = "missing-signature"
    template = "{what} needs {needed} valid signatures of {who}, it has {got}"
    hint = "Collect the missing signatures."


class WeakKey(BadProof):
    """A key under which others could sign, or about which verifiers disagree. Found where a key is read."""

    code = "weak-key"
    template = "the public key of {name} is refused: {reason}"
    hint = "Generate a new key; this one would let others forge signatures."


class UnknownKey(BadProof):
    """A key that counts for nothing here and now: never listed, or not in force at that size."""

    code = "unknown-key"
    template = "no card in force gives {name} the key {key_id} for {use}"
    hint = "Fetch the member's newest card; if it names another key, the signer uses an old or foreign one."


class ForeignOrigin(BadProof):
    """Of another log than the one asked about, whatever its signatures."""

    code = "foreign-origin"
    template = "expected log {expected!r}, got {got!r}"
    hint = "A proof or entry of one log proves nothing in another."


class LogGap(BadProof):
    """Another entry than the next one: something was left out, put in or moved."""

    code = "log-gap"
    template = "expected entry {expected}, got {got}"


class LinkBroken(BadProof):
    """The entry names another one before it than the log has."""

    code = "link-broken"
    template = "entry {index} does not continue the entry before it"


class RootMismatch(BadProof):
    """Somebody gave entries or hashes that are not those under the signed root. The signer need not be to blame."""

    code = "root-mismatch"
    template = "{what}: the computed root is not the one that was signed"
    hint = "Entries or hashes were changed on the way or at the peer; another peer may have the right ones."


class UntrustedNetwork(BadProof):
    """Sound in itself, and of a network that nobody here was told to trust."""

    code = "untrusted-network"
    template = "it is of network {got}, the trusted fingerprint is {expected}"
    hint = "Compare the fingerprint with the one that the members publish; the name of a network proves nothing."


class ProofInvalid(BadProof):
    """A proof that does not lead where it says. It shows nothing, neither that the thing is so nor that it is not."""

    code = "proof-invalid"
    template = "{what}: {reason}"


class SealBroken(BadProof):
    """Sealed bytes, keys and commitment do not go together. section: its number, or "-" for what is before any."""

    code = "seal-broken"
    template = "section {section}: {reason}"
    hint = "The sealed bytes or the keys given for them are not what the author committed to."


class ForeignNetwork(BadProof):
    """Carried over from another network, where it may be good."""

    code = "foreign-network"
    template = "{what}: expected network {expected!r}, got {got!r}"
    hint = "Charters, cards and keys of one network prove nothing in another."


class VersionGap(BadProof):
    """A document of a chain that does not come next: each is checked against the one before it."""

    code = "version-gap"
    template = "{what}: expected version {expected}, got {got}"
    hint = "Fetch the versions in between; each is checked against the one before it."


class PreviousMismatch(BadProof):
    """A document that follows another one than the one that is known."""

    code = "previous-mismatch"
    template = "{what} does not name the hash of the version before it"
    hint = "One of the two comes from another history; compare both with another member."


class UnknownMember(BadProof):
    """A name that the charter does not list, or no longer."""

    code = "unknown-member"
    template = "the charter in force lists no member {name!r}"
    hint = "Fetch the newest charter; the member may have been admitted or expelled since."


class CharterInvalid(BadProof):
    """A charter that breaks a rule which no signature can lift."""

    code = "charter-invalid"
    template = "charter {version} may not follow the one before it: {reason}"
    hint = "No signature makes this charter good; the council has to draw up another."


class CardInvalid(BadProof):
    """A card that breaks a rule which its member cannot lift."""

    code = "card-invalid"
    template = "card {version} of {member!r} may not follow the one before it: {reason}"
    hint = "Its member has to draw up another."


# --- NotAllowed, NotFound, Conflict, Unavailable ------------------------------


class NotEntitled(NotAllowed):
    """Who asks is known, and this is not for it."""

    code = "not-entitled"
    template = "{who} may not read {what}"


class Missing(NotFound):
    """Not here. Whether it exists elsewhere is not known."""

    code = "not-found"
    template = "no {what} {name!r} here"
    hint = "Check the name; `tally peers` shows how far this node has caught up."
