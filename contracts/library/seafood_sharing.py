"""Four firms of one cold chain share their EPCIS events, and each keeps its prices to those who pay them.

Goods, places, times and temperatures go to all four. What a firm is paid goes to the
firm that pays: the retailer does not learn what the fishery gets, nor the carrier the
price of anything but its own freight. Where the boats fish is for the processor only.
What no pattern names is the author's alone; the most specific pattern decides.
"""

ROLES = {"fishery", "processor", "carrier", "retailer"}

SIGNERS = {"fishery", "processor", "carrier", "retailer"}

AUTHORS = {
    "epcis/document": {"fishery", "processor", "carrier", "retailer"},
    "epcis/ObjectEvent": {"fishery", "processor", "carrier", "retailer"},
    "epcis/AggregationEvent": {"fishery", "processor", "carrier", "retailer"},
    "epcis/TransactionEvent": {"fishery", "processor", "carrier", "retailer"},
    "epcis/TransformationEvent": {"fishery", "processor", "carrier", "retailer"},
    "epcis/AssociationEvent": {"fishery", "processor", "carrier", "retailer"},
    "epcis/event": {"fishery", "processor", "carrier", "retailer"},
}

SHARES = {
    # The frame of a document: its names of places and goods, and nothing that is paid.
    "epcis/document": {
        "/*": {"fishery", "processor", "carrier", "retailer"},
    },
    "epcis/ObjectEvent": {
        "/*": {"fishery", "processor", "carrier", "retailer"},
        "/ext:temperature": {"fishery", "processor", "carrier", "retailer"},
        # Fishing grounds are a trade secret; that the fish was caught, and in which area, is not.
        "/ilmd/ext:position": {"fishery", "processor"},
        "/ext:landingPrice": {"fishery", "processor"},
        "/ext:freightCharge": {"processor", "carrier"},
        "/ext:price": {"processor", "retailer"},
        "/ext:customer": {"processor", "retailer"},
        "/ext:currency": {"fishery", "processor", "retailer"},
        "/ext:shelfPrice": {"retailer"},
        "/ext:quality": {"fishery", "processor", "retailer"},
    },
    "epcis/AggregationEvent": {
        "/*": {"fishery", "processor", "carrier", "retailer"},
        # Whoever knows the number of a seal before the truck arrives can replace it.
        "/ext:seal": {"carrier", "retailer"},
    },
    "epcis/TransactionEvent": {
        "/*": {"fishery", "processor", "carrier", "retailer"},
        "/bizTransactionList": {"processor", "carrier", "retailer"},
        "/ext:price": {"processor", "retailer"},
        "/ext:customer": {"processor", "retailer"},
        "/ext:currency": {"processor", "retailer"},
        "/ext:paymentTerms": {"processor", "retailer"},
    },
    "epcis/TransformationEvent": {
        "/*": {"fishery", "processor", "carrier", "retailer"},
        # How much of a fish becomes fillet is what a plant earns by; the amounts would tell it.
        "/inputQuantityList": {"fishery", "processor"},
        "/outputQuantityList": {"processor", "retailer"},
        "/ext:yield": {"processor"},
        "/ext:line": {"processor"},
    },
    "epcis/AssociationEvent": {
        "/*": {"fishery", "processor", "carrier", "retailer"},
    },
    # Events of a type of one's own: the agreement cannot know what is in them.
    "epcis/event": {
        "/@context": {"fishery", "processor", "carrier", "retailer"},
        "/type": {"fishery", "processor", "carrier", "retailer"},
        "/eventID": {"fishery", "processor", "carrier", "retailer"},
        "/eventTime": {"fishery", "processor", "carrier", "retailer"},
        "/eventTimeZoneOffset": {"fishery", "processor", "carrier", "retailer"},
    },
}
