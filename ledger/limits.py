"""Every bound of the protocol, with its unit and its reason."""

from __future__ import annotations

from typing import Final

INTEGER_MAX: Final = 2**53 - 1
"""Largest integer in our own documents: beyond it JSON readers of other languages round (RFC 8785)."""

JSON_DEPTH: Final = 32
"""Levels of nesting in a body, the root value being level 1: keeps every recursive reader far from its stack."""

NUMBER_DIGITS_MAX: Final = 4000
"""Letters of a number that somebody computes with: int() takes quadratic time. Text that is only kept has no limit."""

BODY_BYTES_MAX: Final = 1 << 20
"""Bytes of one record body: one record is sealed and verified in memory, by every reader."""

FIELDS_MAX: Final = 4096
"""Fields of one record over all sections: u16 indexes leave room, a manifest path stays short."""

SECTIONS_MAX: Final = 64
"""Sections of one record: the number of distinct audiences one contract can tell apart."""

READERS_MAX: Final = 64
"""Readers of one record: one wrap each."""

LINKS_MAX: Final = 64
"""Links of one record to others."""

NAME_BYTES_MAX: Final = 1024
"""Bytes of one field name (a JSON Pointer)."""

MEMBER_NAME_MAX: Final = 63
"""Letters of a network or member name: one DNS label's length, so names fit host names."""

ENTRY_BYTES_MAX: Final = 1024
"""Bytes of one log entry: a header with every optional member is below 700."""

TILE_WIDTH: Final = 256
"""Hashes per tile and entries per bundle (C2SP tlog-tiles)."""

TILE_LEVELS: Final = 8
"""Tree levels that one tile spans: its width is 2**8."""

TILE_LEVEL_MAX: Final = 6
"""Highest level of a tile: 256**7 is the first power of 256 above every tree size."""

BUNDLE_BYTES_MAX: Final = TILE_WIDTH * (2 + 0xFFFF)
"""Bytes of an entry bundle (C2SP tlog-tiles): also entries too long to be a header of ours are kept and served."""

SIZE_DIGITS: Final = 16
"""Decimal digits of a tree size: 2**53 - 1 has 16."""

PROOF_HASHES_MAX: Final = 64
"""Digests in an inclusion, consistency or fork proof: the tallest tree needs 53, or 54 with the first written out."""

PROOF_EXTRA_BYTES_MAX: Final = 1 << 16
"""Bytes of the unauthenticated extra data of a tlog-proof: ours is an entry, and no leaf of a bundle is longer."""

NOTE_BYTES_MAX: Final = 1 << 20
"""Bytes of a signed note: a charter of the largest network with all signatures."""

NOTE_SIGNATURES_MAX: Final = 1024
"""Signature lines of one note: of a charter whose members all change their root keys, the old ones and the new."""

CHARTER_SIGNATURES_MAX: Final = NOTE_SIGNATURES_MAX // 2
"""Signatures that all members of a charter take together, each its threshold: the next may need as many again."""

CHARTER_BYTES_MAX: Final = 768 << 10
"""Bytes of a charter's text: 1,024 signature lines, of 230 bytes with the longest names, still fit its note."""

MEMBERS_MAX: Final = 256
"""Members of one network: all mirror all logs."""

KEYS_MAX: Final = 64
"""Keys in one card, or root keys of one member."""

ENDPOINTS_MAX: Final = 8
"""Addresses of one member."""

ENDPOINT_BYTES_MAX: Final = 267
"""Bytes of one address: `https://`, the longest DNS name (253) and a port."""

CARD_VERSIONS_MAX: Final = 128
"""Cards of one member: a change each month for ten years. Who makes more hinders nobody but itself."""

CARDS_BYTES_MAX: Final = 128 << 10
"""Bytes of the texts of one member's cards: 128 ordinary ones. Receipts carry all cards, so each has its own share."""

EXPELLED_MAX: Final = 1024
"""Logs with a cut-off size in one charter: the list only grows, so it has room for several generations."""

ENGINES_MAX: Final = 64
"""Contract engines that one network permits at a time."""

BLOB_BYTES_MAX: Final = 1 << 28
"""Bytes of one attached file: 4,096 chunks of 64 KiB."""

BODY_BYTES_MIN: Final = 64 << 10
"""Least `body_bytes` of a charter: a proposal with its contract's source must fit, or members could be silenced."""

FIELDS_MIN: Final = 64
"""Least `record_fields` of a charter: every `tally/*` record fits, for the same reason."""

READERS_MIN: Final = 2
"""Least `record_readers` of a charter: the author and one other."""

SECTIONS_MIN: Final = 4
"""Least `record_sections` of a charter: section 0, two audiences, and what is the author's alone."""

NETWORK_FILE_BYTES_MAX: Final = 16 << 20
"""Bytes of a network file: the largest charters and cards with their histories, read into memory whole."""

PATTERNS_MAX: Final = 256
"""Patterns of one record type: each is compared with every other when rules are compiled."""

CONTRACT_BYTES_MAX: Final = 256 << 10
"""Bytes of a contract file: some 6,000 lines; keeps the Python parser below a second on hostile text."""

CONTRACT_WORDS_MAX: Final = 32_768
"""Words and signs of a contract file: 1,024 patterns for six roles each; so many, dense, are read in half a second."""

CONTRACT_SCOPES_MAX: Final = 32
"""Functions and classes of a contract that stand in each other: a name is looked up in all that are around it."""

CONTRACT_DEPTH_MAX: Final = 200
"""Levels of nesting of a contract's code: far below where any version of Python's parser gives up."""

CONTRACT_PATTERNS_MAX: Final = 1024
"""Patterns of one contract over all its types, for the reason of `PATTERNS_MAX`."""

CONTRACT_TYPES_MAX: Final = 256
"""Record types of one contract."""

CONTRACT_ROLES_MAX: Final = 64
"""Roles of one contract: as many as one record has readers."""

ROLE_LENGTH_MAX: Final = 63
"""Letters of a role's name."""

TYPE_LENGTH_MAX: Final = 64
"""Letters of a record type's name."""

CONTRACT_FINDINGS_MAX: Final = 200
"""Findings that are reported of one contract file: more than anyone corrects in one go."""

TITLE_LENGTH_MAX: Final = 200
"""Letters of a contract's title: one line on a screen."""

PROPOSALS_OPEN_MAX: Final = 64
"""Proposals of one member, refused ones too, that a node reads before its own member has said anything of them."""

PROPOSALS_OPEN_BYTES: Final = 2 << 20
"""Bytes of those proposals together, one always: parsed, a hostile one takes some forty times its length."""

WORDS_EARLY_MAX: Final = 4096
"""Acceptances, declines and ends of one member that a node keeps for contracts that it does not know (yet)."""

LINE_BYTES_MAX: Final = BODY_BYTES_MAX + (64 << 10)
"""Bytes of one NDJSON line: a body and its envelope."""

BLOBS_MAX: Final = 64
"""Attached files of one record."""

CHECKPOINT_BYTES_MAX: Final = 1 << 16
"""Bytes of a checkpoint as a peer serves it: with a cosignature line of every member of the largest network."""

CATCH_UP_BUNDLES: Final = 16
"""Entry bundles per durable commit of a catch-up: 4,096 entries, some 1.3 MB; more gained nothing when measured."""

CATCH_UP_BYTES: Final = 8 << 20
"""Bytes of bundles after which a peer's answer is cut, so that long entries do not fill the memory."""

EVIDENCE_BYTES_MAX: Final = 5 << 20
"""Bytes of a piece of evidence: two of the longest notes, in which JSON escapes every byte at worst."""

EVIDENCE_PASSED_MAX: Final = 8
"""Pieces of evidence of one kind, member and log that one peer is given: the first convicts, later ones are no news."""

CHANNELS_MAX: Final = 1 << 17
"""Channels of one author to one reader that are kept: one for each day of 350 years, or ten restarts a day of 35."""

CHANNELS_OPEN_MAX: Final = 4096
"""Opened channels of others that a node keeps in memory: a day's of every author in the largest network, 16 times."""

EPCIS_FILE_BYTES_MAX: Final = 32 << 20
"""Bytes of one EPCIS file handed in: some 30,000 events, parsed in memory; more goes in as NDJSON."""

EPCIS_FILE_DEPTH: Final = JSON_DEPTH + 5
"""Levels of nesting in an EPCIS file: the events of a query document stand five levels down."""

EPCIS_VALUES_MAX: Final = 2 << 20
"""Commas and opening brackets of an EPCIS file: honest values take 16 bytes and more, and parsed each takes 100."""

EPCIS_EVENTS_MAX: Final = 1 << 16
"""Events of one EPCIS file: twice what a file of the usual ones has room for, as each becomes a record."""

CUSTODY_INPUTS_MAX: Final = 1 << 18
"""Inputs made of one EPCIS file: a package that moves moves all that is in it, so few events can become very many."""

SHIPMENTS_FILE_BYTES_MAX: Final = 32 << 20
"""Bytes of one delivery history, unpacked: ten times the largest that is known, and small enough to be held whole."""

PURCHASES_TABLE_BYTES_MAX: Final = 32 << 20
"""Bytes of one table of purchases, unpacked: some 300,000 lines of orders, all held while they are joined."""

CAPTURE_REFUSED_MAX: Final = 1000
"""Refusals that the answer to one EPCIS file lists, besides how many more there are: enough to see what is wrong."""

EPCIS_FAULTS_MAX: Final = 100
"""Faults told of one list or object: enough to mend it, without more memory than its text took."""

DOCUMENT_FILE_BYTES_MAX: Final = 16 << 20
"""Bytes of one business document in XML: attached files included, which are most of it where it is long."""

DOCUMENT_PARTS_MAX: Final = 1 << 18
"""Tags and attributes of one business document: some 3,000 lines of an invoice; parsed they take 100 MB at worst."""

DOCUMENT_DIGITS_MAX: Final = 34
"""Digits of an amount, quantity or rate in a business document: as many as contracts compute with exactly."""

DOCUMENT_ATTACHMENT_BYTES_MAX: Final = 256 << 10
"""Bytes of a file attached inside a document, in Base64, that its input keeps: three fit one body, beside the rest."""

OWN_FIELDS_MAX: Final = 16
"""Fields that a record has besides its body's: `by`, `flags`, those of section 0."""

RECEIPT_BYTES_MAX: Final = NETWORK_FILE_BYTES_MAX + 4 * BODY_BYTES_MAX
"""Bytes of a receipt: the network's documents, and a whole record disclosed field by field."""

VIEW_TEXT_BYTES_MAX: Final = 512
"""Bytes of one text in a view: longer ones are cut and end in their SHA-256, so that they still match exactly."""

VIEW_IDENTIFIERS_MAX: Final = 32_768
"""Identifiers of one record that can be searched: more than a body of honest ones (35 bytes each) has room for."""

VIEW_FLAGS_MAX: Final = 64
"""Flags of one record in a view: more than twice what a capture ever sets, complaints and all."""

RECORD_PROBLEMS_MAX: Final = 16
"""Problems told of one record: a few of each kind are enough to look into it, and an author could make thousands."""

VIEW_CHUNK_RECORDS: Final = 512
"""Records projected per transaction of a view: enough that the commit costs little beside them."""

VIEW_CHUNK_BYTES: Final = 1 << 20
"""Stored bytes projected per transaction of a view, one record always: bounds the worker's memory."""

VIEW_PAGE_MAX: Final = 1000
"""Records on one page of a search."""

VIEW_SEARCH_S: Final = 5.0
"""Seconds that one page of a search may take: filters that hardly any record passes could read a whole view."""

SECTION_BYTES_MAX: Final = 4 << 20
"""Bytes of one sealed section: a whole body whose names, salted and padded, weigh more than its values."""

RECORD_BYTES_MAX: Final = 3 << 20
"""Bytes of a record's names and values that its author may seal: padded, and wrapped for all, they fit one sidecar."""

MANIFEST_BYTES_MAX: Final = 128 * (SECTIONS_MAX + BLOBS_MAX)
"""Bytes of a manifest: a section takes at most 112, a blob 67."""

SIDECAR_BYTES_MAX: Final = 4 << 20
"""Bytes of one record's manifest, wraps and ciphertexts as a peer sends them: held in memory whole."""

REFILL_CALLS_MAX: Final = 64
"""Calls about the gaps of one log in one go: a peer that answers for one entry at a time would cause one for each."""

BODIES_MESSAGES_MAX: Final = 2 * TILE_WIDTH * READERS_MAX
"""Channel messages in one answer: far above what 256 records of one author to one reader can need."""

RELATION_LENGTH_MAX: Final = 32
"""Letters of a link's relation."""
