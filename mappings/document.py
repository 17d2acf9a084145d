from mappings.folder import Mappings


def mapping_document(mappings: Mappings, language: str = "en") -> str:
    return ""
