"""The life of one consignment, from the catch to the shop, told by the four firms that see it.

Made up, and consistent: every identifier that an event names was brought into the
world by an earlier one, time runs forward, and no kilogram appears or is lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal

from node.epcis.consignment import (
    AREAS,
    CARRIER,
    FISHERY,
    PALLET_CASES,
    PREFIXES,
    PROCESSOR,
    RETAILER,
    SHOPS,
    VESSELS,
    Consignment,
    from_tenths,
    from_to,
    papers,
    party,
    place,
    quantity,
    sensor,
    varied,
)


def tell_all(story: Consignment) -> None:
    """The whole story, firm after firm: some 45 events."""
    _tell_of_the_catch(story)
    _tell_of_the_plant(story)
    _tell_of_the_packing(story)
    _tell_of_the_road(story)
    _tell_of_the_shops(story)


def _tell_of_the_catch(story: Consignment) -> None:
    vessel, area = story.rng.choice(VESSELS), story.rng.choice(AREAS)
    for lot in story.lots:
        position = f"{story.rng.randint(6800, 7150) / 100:.2f}N {story.rng.randint(1200, 2400) / 100:.2f}E"
        story.tell(
            FISHERY, "ObjectEvent", place(FISHERY, "00001"), action="ADD", bizStep="commissioning",
            disposition="active", quantityList=[quantity(lot.whole, lot.tenths)],
            ilmd={
                "cbvmda:lotNumber": lot.whole.rpartition(".")[2], "ext:species": lot.species.code,
                "ext:scientificName": lot.species.scientific, "ext:vessel": vessel, "ext:catchArea": area,
                "ext:gear": story.rng.choice(("Longline", "Gillnet", "Danish seine")), "ext:position": position,
            },
        )  # fmt: skip
    for lot in story.lots:
        celsius = from_tenths(story.rng.randint(-6, 14))
        story.tell(
            FISHERY, "ObjectEvent", place(FISHERY, "00002"), action="OBSERVE", bizStep="unloading",
            disposition="in_progress", bizLocation={"id": place(FISHERY, "00003")},
            quantityList=[quantity(lot.whole, lot.tenths)],
            sensorElementList=[sensor(None, story.moment, celsius)], ext__temperature=celsius,
        )  # fmt: skip
    for lot in story.lots:
        story.tell(
            FISHERY, "ObjectEvent", place(FISHERY, "00003"), action="OBSERVE", bizStep="shipping",
            disposition="in_transit", quantityList=[quantity(lot.whole, lot.tenths)],
            **from_to(FISHERY, PROCESSOR), ext__landingPrice=varied(story.rng, lot.species.price),
            ext__currency="EUR",
        )  # fmt: skip


def _tell_of_the_plant(story: Consignment) -> None:
    for lot in story.lots:
        story.tell(
            PROCESSOR, "ObjectEvent", place(PROCESSOR, "00001"), action="OBSERVE", bizStep="receiving",
            disposition="in_progress", quantityList=[quantity(lot.whole, lot.tenths)], **from_to(FISHERY, PROCESSOR),
        )  # fmt: skip
        grade = story.rng.choice(("E", "A", "A", "B"))
        story.tell(
            PROCESSOR, "ObjectEvent", place(PROCESSOR, "00001"), action="OBSERVE", bizStep="inspecting",
            disposition="conformant", quantityList=[quantity(lot.whole, lot.tenths)],
            ext__quality={"grade": grade, "freshness": story.rng.randint(14, 20), "parasites": story.rng.randint(0, 3)},
        )  # fmt: skip
        story.tell(
            PROCESSOR, "TransformationEvent", place(PROCESSOR, "00002"), bizStep="creating_class_instance",
            disposition="in_progress", inputQuantityList=[quantity(lot.whole, lot.tenths)],
            outputQuantityList=[
                quantity(lot.fillets, lot.fillet_tenths), quantity(lot.rest, lot.tenths - lot.fillet_tenths),
            ],
            ilmd={"cbvmda:lotNumber": lot.fillets.rpartition(".")[2], "ext:product": f"{lot.species.name} fillets"},
            ext__yield=(Decimal(lot.fillet_tenths) / lot.tenths).quantize(Decimal("0.001")),
            ext__line=f"Line {story.rng.randint(1, 3)}",
        )  # fmt: skip
    story.tell(
        PROCESSOR, "ObjectEvent", place(PROCESSOR, "00004"), action="OBSERVE", bizStep="shipping",
        disposition="in_transit",
        quantityList=[quantity(lot.rest, lot.tenths - lot.fillet_tenths) for lot in story.lots],
        ext__customer="Fish meal works", ext__price=varied(story.rng, Decimal("0.35")), ext__currency="EUR",
    )  # fmt: skip


def _tell_of_the_packing(story: Consignment) -> None:
    best_before = (story.moment + timedelta(days=9)).date().isoformat()
    for lot in story.lots:
        story.tell(
            PROCESSOR, "ObjectEvent", place(PROCESSOR, "00003"), action="ADD", bizStep="commissioning",
            disposition="active", epcList=list(lot.cases), ilmd={"cbvmda:itemExpirationDate": best_before},
        )  # fmt: skip
        for case, tenths in lot.cases.items():
            story.tell(
                PROCESSOR, "AggregationEvent", place(PROCESSOR, "00003"), parentID=case, action="ADD",
                bizStep="packing", disposition="container_closed", childQuantityList=[quantity(lot.fillets, tenths)],
            )  # fmt: skip
    cases = [case for lot in story.lots for case in lot.cases]
    for i in range(0, len(cases), PALLET_CASES):
        pallet = f"urn:epc:id:sscc:{PREFIXES[PROCESSOR]}.0{story.number:06d}{i // PALLET_CASES:03d}"
        story.pallets[pallet] = cases[i : i + PALLET_CASES]
        story.tell(
            PROCESSOR, "AggregationEvent", place(PROCESSOR, "00004"), parentID=pallet,
            childEPCs=story.pallets[pallet], action="ADD", bizStep="packing", disposition="container_closed",
        )  # fmt: skip
    price = max(lot.species.price for lot in story.lots) * 3
    sale = {"ext__customer": party(RETAILER), "ext__price": varied(story.rng, price), "ext__currency": "EUR"}
    story.tell(
        PROCESSOR, "TransactionEvent", place(PROCESSOR, "00004"), bizTransactionList=papers(story),
        epcList=list(story.pallets), action="ADD", bizStep="staging_outbound", **sale,
        ext__paymentTerms=story.rng.choice(("30 days net", "14 days 2 %")),
    )  # fmt: skip
    story.tell(
        PROCESSOR, "ObjectEvent", place(PROCESSOR, "00004"), action="OBSERVE", bizStep="shipping",
        disposition="in_transit", epcList=list(story.pallets), bizTransactionList=papers(story),
        **from_to(PROCESSOR, RETAILER), **sale,
    )  # fmt: skip


def _tell_of_the_road(story: Consignment) -> None:
    pallets = list(story.pallets)
    story.tell(
        CARRIER, "AssociationEvent", place(CARRIER, "00001"), parentID=story.truck, childEPCs=[story.logger],
        action="ADD", bizStep="installing",
    )  # fmt: skip
    for action, step, where in (("ADD", "loading", PROCESSOR), ("DELETE", "unloading", RETAILER)):
        story.tell(
            CARRIER, "AggregationEvent", place(where, "00004" if where == PROCESSOR else "00001"),
            parentID=story.truck, childEPCs=pallets, action=action, bizStep=step,
            ext__seal=f"S{story.rng.randint(100_000, 999_999)}" if action == "ADD" else None,
        )  # fmt: skip
        if action == "ADD":
            _tell_of_the_drive(story, pallets)


def _tell_of_the_drive(story: Consignment, pallets: Sequence[str]) -> None:
    for step in ("departing", "transporting", "transporting", "transporting", "arriving"):
        celsius = from_tenths(story.rng.randint(-2, 36))
        story.tell(
            CARRIER, "ObjectEvent", story.truck_place, action="OBSERVE", bizStep=step, disposition="in_transit",
            epcList=pallets, sensorElementList=[sensor(story.logger, story.moment, celsius)],
            ext__temperature=celsius,
            ext__freightCharge=varied(story.rng, Decimal("412.00")) if step == "arriving" else None,
            ext__currency="EUR" if step == "arriving" else None,
        )  # fmt: skip
        if step == "departing":
            story.on_the_road = story.moment


def _tell_of_the_shops(story: Consignment) -> None:
    story.tell(
        RETAILER, "ObjectEvent", place(RETAILER, "00001"), action="OBSERVE", bizStep="receiving",
        disposition="in_progress", epcList=list(story.pallets), bizTransactionList=papers(story),
        **from_to(PROCESSOR, RETAILER),
        ext__quality={"accepted": True, "remarks": story.rng.choice(("none", "one case wet", "ice melted a little"))},
    )  # fmt: skip
    for pallet, cases in story.pallets.items():
        story.tell(
            RETAILER, "AggregationEvent", place(RETAILER, "00002"), parentID=pallet, childEPCs=cases,
            action="DELETE", bizStep="unpacking",
        )  # fmt: skip
    cases = [case for lot in story.lots for case in lot.cases]
    story.tell(
        RETAILER, "ObjectEvent", place(RETAILER, "00002"), action="OBSERVE", bizStep="storing",
        disposition="sellable_not_accessible", epcList=cases,
    )  # fmt: skip
    for shop, lot in zip(SHOPS, story.lots, strict=True):
        story.tell(
            RETAILER, "ObjectEvent", place(RETAILER, shop), action="OBSERVE", bizStep="stocking",
            disposition="sellable_accessible", epcList=list(lot.cases),
        )  # fmt: skip
        sold = lot.fillet_tenths * story.rng.randint(40, 60) // 100
        for tenths in (sold, lot.fillet_tenths - sold):
            story.tell(
                RETAILER, "ObjectEvent", place(RETAILER, shop), action="OBSERVE", bizStep="retail_selling",
                disposition="retail_sold", quantityList=[quantity(lot.fillets, tenths)],
                ext__shelfPrice=varied(story.rng, lot.species.price * 5), ext__currency="EUR",
            )  # fmt: skip
