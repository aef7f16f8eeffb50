"""Which elements of UBL may repeat, and in which elements: these are arrays in a body, however often they occur.

Most names repeat wherever they stand, or nowhere; `SOMETIMES` has the rest. Whoever reads a body can so rely on one
shape: `InvoiceLine` is an array also in an invoice of one line, `LegalMonetaryTotal` never is one.

Source: UBL 2.1 (OASIS Standard, 4 November 2013), cardinalities of its schemas (`maxOccurs`); those of UBL 2.0 are
never wider. Mapping: docs/reference/documents.md, "Repeats".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final


def may_repeat(name: str, *, within: str) -> bool:
    """Whether an element may occur more than once in an element `within` (of documents: Invoice, Order, ...)."""
    return name in ALWAYS or f"/{within}".endswith(SOMETIMES.get(name, ()))


_ALWAYS_TEXT: Final = """
ActualPackage AdditionalAccountID AdditionalInformation AdditionalItemIdentification AdditionalItemProperty
AdditionalTemperature AddressLine AllowanceChargeReason AlternativeConditionPrice ApplicableTaxCategory
ApplicableTerritoryAddress AttachedTransportEquipment BackorderReason BillingReferenceLine BrandName
BuyerProposedSubstituteLineItem CancellationNote CarrierServiceInstructions Certificate ChildConsignment
ClassifiedTaxCategory Clause CommodityClassification Conditions Consignment ConsolidatedShipment
ContainedGoodsItem ContainedInTransportEquipment ContainedPackage ContainingPackage Content Contract
CreditNoteLine CrewMemberPerson CurrentStatus CustomsClearanceServiceInstructions CustomsDeclaration
DamageRemarks DeliveryInstructions DeliveryUnit DemurrageInstructions Description DespatchDocumentReference
DespatchLine DespatchLineReference DetentionTransportEvent Dimension DiscrepancyResponse DocumentDescription
DocumentResponse DriverPerson EmissionCalculationMethod EnvironmentalEmission ExemptionReason Extension
ExtraAllowanceCharge ForwarderServiceInstructions FreightAllowanceCharge GoodsItem GoodsItemContainer
HandlingInstructions HandlingTransportEvent HandlingUnitDespatchLine HaulageInstructions HaulageTradingTerms
HazardousGoodsTransit HazardousItem IdentityDocumentReference Information InstructionNote Instructions
InvoiceLine InvoicePeriod ItemInstance ItemPropertyGroup ItemSpecificationDocumentReference
JurisdictionRegionAddress Keyword LineResponse ListValue LocationCoordinate LossRisk MainCarriageShipmentStage
MandateDocumentReference ManufacturerParty ManufacturersItemIdentification MeasurementDimension ModelName Note
OnCarriageShipmentStage OrderChangeDocumentReference OrderDocumentReference OrderLine OrderedShipment
OtherCommunication OutstandingReason PackagedTransportHandlingUnit PackingMaterial PartyIdentification
PartyLegalEntity PartyName PartyTaxScheme PassengerPerson PaymentID PaymentMeansID PaymentNote Period Person
PhysicalAttribute PickupTransportEvent PlannedWaypointTransportEvent PositioningTransportEvent PowerOfAttorney
PreCarriageShipmentStage PrepaidPayment PriceChangeReason ProjectReference QuarantineTransportEvent
ReceiptDocumentReference ReceiptLine ReceiptLineReference ReceivedHandlingUnitReceiptLine
ReferencedConsignmentID ReferencedShipment RegistrationNationality RejectReason RejectionNote Remarks
RemittanceAdviceLine RequestedWaypointTransportEvent ScheduledServiceFrequency SecondaryHazard
SellerProposedSubstituteLineItem SellerSubstitutedLineItem ServiceAllowanceCharge ServiceProviderParty
ServiceType ShareholderParty ShipmentStage ShippingMarks ShipsRequirements SpecialInstructions
SpecialServiceInstructions SpecialTerms SpecialTransportRequirements StatementDocumentReference Status
StatusReason SubCreditNoteLine SubInvoiceLine SubLineItem SubsidiaryLocation SummaryDescription
SupportedCommodityClassification SupportedTransportEquipment TariffDescription TaxExemptionReason TaxSubtotal
Temperature Text TradingRestrictions TransitCountry TransportEquipment TransportEquipmentSeal TransportEvent
TransportHandlingUnit TransportationServiceDescription UnsupportedCommodityClassification
UnsupportedTransportEquipment ValueQualifier WarrantyInformation WithholdingTaxTotal WitnessParty
WorkOrderDocumentReference WorkPhase WorkPhaseReference XPath
"""
ALWAYS: Final = frozenset(_ALWAYS_TEXT.split())

_BILLS: Final = ("CreditNote", "Invoice")
_BILL_LINES: Final = ("CreditNoteLine", "InvoiceLine")
_ORDERS: Final = ("Order", "OrderChange", "OrderResponse")
_DESPATCH_LINES: Final = ("DespatchLine",)
_RECEIPT_LINES: Final = ("ReceiptLine",)

SOMETIMES: Final[Mapping[str, tuple[str, ...]]] = {
    "AdditionalDocumentReference": (
        *_BILLS,
        *_ORDERS,
        "OrderCancellation",
        "OrderResponseSimple",
        "DespatchAdvice",
        "ReceiptAdvice",
        "RemittanceAdvice",
    ),
    "AllowanceCharge": (
        *_BILLS,
        *_BILL_LINES,
        *_ORDERS,
        "BillingReferenceLine",
        "LineItem",
        "Price",
        "OriginalItemLocationQuantity",
    ),
    "BillingReference": (*_BILLS, *_BILL_LINES, "RemittanceAdviceLine"),
    "CarrierParty": ("ShipmentStage",),
    "Condition": ("Status",),
    "Contact": ("TransportEvent",),
    "ContractDocumentReference": (*_BILLS, "Contract"),
    "Delivery": (*_BILLS, *_BILL_LINES, *_ORDERS, "LineItem"),
    "DeliveryTerms": ("CreditNote", "CreditNoteLine", "SelfBilledInvoice", "Order", "Delivery"),
    "DeliveryTransportEvent": ("TransportEquipment",),
    "DescriptionCode": ("Period",),
    "DocumentReference": (
        *_BILL_LINES,
        *_DESPATCH_LINES,
        *_RECEIPT_LINES,
        "OrderLine",
        "RemittanceAdviceLine",
        "Certificate",
        "DocumentResponse",
        "TradeFinancing",
        "TransactionConditions",
    ),
    "Item": (*_RECEIPT_LINES, "GoodsItem"),
    "LineReference": ("LineItem",),
    "LoadingTransportEvent": ("TransportEquipment",),
    "Location": ("Stowage",),
    "NotifyParty": ("Delivery", "Despatch"),
    "OrderLineReference": (*_BILL_LINES, *_DESPATCH_LINES, "OrderLine"),
    "OrderReference": ("OrderCancellation", "OrderResponse", "DespatchAdvice", "ReceiptAdvice"),
    "OriginAddress": ("/Item",),
    "OriginatorDocumentReference": _BILLS,
    "Package": ("TransportEquipment", "TransportHandlingUnit", "OrderedShipment"),
    "PaymentMeans": (*_ORDERS, "CreditNote", "/Invoice", "AllowanceCharge"),
    "PaymentTerms": (*_BILLS, *_BILL_LINES, *_ORDERS),
    "Response": ("LineResponse",),
    "Shipment": (*_DESPATCH_LINES, *_RECEIPT_LINES),
    "ShipmentDocumentReference": ("TransportEquipment", "TransportHandlingUnit"),
    "Signature": (
        *_BILLS,
        *_ORDERS,
        "OrderCancellation",
        "OrderResponseSimple",
        "DespatchAdvice",
        "ReceiptAdvice",
        "RemittanceAdvice",
        "ApplicationResponse",
        "Certificate",
    ),
    "TaxCategory": ("AllowanceCharge",),
    "TaxTotal": (*_BILLS, *_BILL_LINES, *_ORDERS, "LineItem", "ItemPriceExtension", "RemittanceAdvice"),
    "TransactionConditions": ("Item",),
    "TransportMeans": ("TransportHandlingUnit",),
    "ValidityPeriod": (*_ORDERS, "Location", "Price", "PriceList"),
}
"""Name -> endings of the names of elements in which it repeats, with a slash before each; elsewhere it occurs once."""
