# What other people's readers find in our exports, as JSON: oracle.py KIND FILE
import json
import sys

kind, path = sys.argv[1:]
if kind == "prov":
    from prov.model import ProvActivity, ProvAgent, ProvAttribution, ProvDocument

    doc = ProvDocument.deserialize(path, format="json")
    again = ProvDocument.deserialize(content=doc.serialize(format="json"), format="json")
    assert again == doc, "it does not come back the same"
    out = {
        "labels": sorted(str(a.label) for a in doc.get_records(ProvActivity)),
        "agents": len(list(doc.get_records(ProvAgent))),
        "attributed": len(list(doc.get_records(ProvAttribution))),
    }
elif kind == "in-toto":
    from google.protobuf import json_format
    from in_toto_attestation.v1 import statement_pb2
    from in_toto_attestation.v1.statement import Statement

    pb = json_format.Parse(open(path, encoding="utf-8").read(), statement_pb2.Statement())
    Statement.copy_from_pb(pb).validate()
    events = json_format.MessageToDict(pb.predicate)["exhibit"]["events"]
    out = {"labels": sorted(e["statement"] for e in events)}
elif kind == "case":
    import rdflib

    graph = rdflib.Graph().parse(path, format="json-ld")
    case = rdflib.Namespace("https://ontology.caseontology.org/case/investigation/")
    core = rdflib.Namespace("https://ontology.unifiedcyberontology.org/uco/core/")
    actions = graph.subjects(rdflib.RDF.type, case.InvestigativeAction)
    out = {"labels": sorted(str(graph.value(a, core.description)) for a in actions)}
elif kind == "bagit":
    import bagit

    bagit.Bag(path).validate()
    out = {}
json.dump(out, sys.stdout)
