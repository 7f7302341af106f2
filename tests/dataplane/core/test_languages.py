"""Whether a text is in another language than English, and what of others English has taken over."""

import pytest

from tollway_dataplane.core.competence import is_english
from tollway_dataplane.core.languages import is_foreign
from tollway_dataplane.core.reading import read


@pytest.mark.parametrize(
    "text",
    [
        "Comment activer le mode avion ?",
        "Puis-je importer un animal ?",
        "Annuler mon abonnement",
        "Supprimer mon compte",
        "Où est la gare ?",
        "Kann man das Tier importieren?",
        "Was kostet ein Ticket nach Berlin?",
        "Konto löschen",
        "Hoe laat is het?",
        "Is het station open?",
        "Puedo cancelar mi plan?",
        "cual es la capital de Francia",
        "Posso cancelar o plano?",
        "Onde está meu pedido?",
        "Posso annullare il piano?",
        "Che tempo fa a Roma?",
        "Var är min beställning?",
        "Kan jeg opsige min plan?",
        "Jak eksportować dokument?",
        "Uçak modu nasıl açılır?",  # noqa: RUF001 - as it is written
        "Miten vien asiakirjan?",
    ],
)
def test_another_language_is_found_in_a_short_text(text: str) -> None:
    assert not is_english([read(text)])
    assert not is_english([read("How do I open an account here?"), read(text)])


@pytest.mark.parametrize(
    "text",
    [
        "How do I get to São Paulo?",
        "What does 'déjà vu' mean?",
        "recipe for crème brûlée",
        "los angeles weather",
        "Who is Ursula von der Leyen?",
        "Is Rio de Janeiro safe?",
        "Beyoncé age",
        "Île de Ré ferries",
        "What does the French word chien mean?",
        'What does "je ne sais quoi" mean?',
        "Le Monde owner",
        "Vincent van Gogh paintings",
        "How do I understand β and ∝?",
        "translate bonjour",
        "DES encryption explained",
        "cancel order",
        "£100, good",
    ],
)
def test_english_with_names_and_phrases_from_elsewhere_is_english(text: str) -> None:
    assert not is_foreign(read(text))
    assert is_english([read(text)])
