"""Programs that want out, or want to see what is not theirs, and end in a state nevertheless: why that is no harm.

Whoever changes how one of them ends reads here what it may show. Everything that is not listed must fail.
"""

from __future__ import annotations

from typing import Final

OUTWARD: Final = ("chance", "doors", "outside")
"""The files of programs that reach for a clock, chance, a file, a module, or the interpreter."""

SHOWN: Final = {
    "addresses": "places in the memory of the instance: the same on every machine for the same batch",
    "addresses_after_much": "as before",
    "attributes_by_format": "a class, which is in every interpreter",
    "builtin_importer": "a module of the image, whose functions all trap: a socket cannot be made with it",
    "clock_by_timestamps": "a time that was given, in UTC",
    "clock_of_zones": "a time that was given, in UTC: there are no zones",
    "collector_calls_back": "1: what the collector calls back can only raise",
    "collector_started": "how many objects its own instance has",
    "collector_thaws_the_image": "1: the image is not the contract's, and is thrown away with the instance",
    "entropy_left_in_the_image": "the seed that is in the artifact: the same number in every instance of every node",
    "environment": "nothing: there is none",
    "environment_by_a_traceback": "nothing: there is none",
    "environment_by_os": "nothing: there is none",
    "frames_by_sys": "names of the guest's functions, which are published",
    "frames_of_an_error": "names in the guest's module, which is published",
    "import_given_path": "a module that contracts have: asked for as the C of Python asks for one",
    "letters_of_digits_read": "numbers",
    "letters_that_become_a_class": "a class, which is in every interpreter",
    "letters_that_become_apply": "that the last function of a name counts, however it is spelled",
    "letters_that_join_in_a_name": "1: two spellings of one name",
    "locale_of_text": "a number without a locale",
    "machine": "the interpreter in the artifact, which is published: no path of the node's, no argument",
    "names_of_modules": "what is in the artifact",
    "objects_of_everybody": "how many objects its own instance has",
    "order_of_hashes": "the hash seed that is in the artifact",
    "order_of_sets": "as before",
    "process": "42, the number that every guest is told",
    "records_by_a_traceback": "records of its own contract in its own batch, which its node has read anyway",
    "referrers_of_the_record": "names of classes",
    "subclasses_of_object": "what is in the artifact",
    "subclasses_that_warn": "names in a module of the artifact",
    "submodules_of_allowed_ones": "what is in the artifact",
    "switch_interval": "1: there is one thread",
    "working_folder": "the root of a file system that has no files",
    "wrong_name_of_case_for_paths": "1: the name of a case is no path anywhere",
}
