from dataclasses import replace

import pytest

from neuroinspect.report.neurons import neuron_cards, ranking


def cards_by_neuron(material):
    return {card.neuron: card for cards in neuron_cards(material).values() for card in cards}


def test_cards_are_grouped_by_what_has_to_change_and_ordered_by_rank(material_of):
    cards = neuron_cards(material_of())
    assert [card.neuron for card in cards["insufficient"]] == [12, 31, 44, 5, 60]
    assert [card.neuron for card in cards["excessive"]] == [7, 23, 51]


def test_a_neuron_of_both_lists_has_one_card_with_both_votes(material_of):
    card = cards_by_neuron(material_of())[44]
    assert card.direction.startswith("in both lists")
    assert [vote.text for vote in card.votes] == ["55\N{NO-BREAK SPACE}%", "7\N{NO-BREAK SPACE}%"]


def test_a_neuron_that_mostly_has_to_fall_stands_with_the_excessive_ones(material_of):
    material = material_of()
    neurons = material.neurons.assign(vote_share_excessive=1.0)
    assert 44 in [card.neuron for card in neuron_cards(replace(material, neurons=neurons))["excessive"]]


def test_chosen_neurons_are_marked(material_of):
    assert {card.neuron for card in cards_by_neuron(material_of()).values() if card.chosen} == {12, 31, 44}


def test_an_illusion_that_reached_too_little_says_so(material_of):
    cards = cards_by_neuron(material_of())
    assert cards[12].unreached == ""
    assert "Not reached" in cards[23].unreached


def test_what_is_not_known_is_left_out(material_of):
    with_guide = {fact.title for fact in cards_by_neuron(material_of())[5].facts}
    without = {fact.title for fact in cards_by_neuron(material_of(guide=False))[5].facts}
    assert with_guide - without == {"Text likeness", "Word"}
    assert "Core relevance" not in with_guide


def test_a_card_carries_the_word_of_its_neuron_and_the_next_one(material_of):
    cards = cards_by_neuron(material_of())
    assert [cards[neuron].word for neuron in (12, 5, 31)] == ["water", "wave", ""]
    (word,) = [fact for fact in cards[12].facts if fact.title == "Word"]
    assert (word.value, word.hint) == ("water 0.56", "then sand 0.11")
    assert "Word" not in {fact.title for fact in cards[31].facts}


def test_the_ranking_names_its_neurons_where_words_are_known(material_of):
    assert [line[1] for line in ranking(material_of())][:4] == ["water", "–", "water", "wave"]
    assert {line[1] for line in ranking(material_of(guide=False))} == {"–"}


def test_a_neuron_without_feature_visualization_shows_two_pictures(material_of):
    cards = cards_by_neuron(material_of())
    assert [shown.caption for shown in cards[60].synthetic] == ["Illusion", "Its own pixels"]
    assert len(cards[12].synthetic) == 3


def test_every_picture_says_what_it_is(material_of):
    card = cards_by_neuron(material_of())[31]
    alts = [shown.alt for shown in (*card.synthetic, *card.real)]
    assert all("neuron" in alt.lower() for alt in alts)
    assert len(card.real) == 6


@pytest.mark.parametrize("part", ["real", "neurons"])
def test_a_missing_table_costs_only_its_part(material_of, part):
    material = material_of()
    cards = cards_by_neuron(replace(material, **{part: material.real.iloc[:0]}))
    assert len(cards) == 8
    assert all(card.synthetic for card in cards.values())


def test_without_pictures_there_is_still_the_ranking(material_of):
    material = replace(material_of(), visualized=None)
    assert neuron_cards(material) == {"insufficient": [], "excessive": []}
    assert [line[0] for line in ranking(material)] == ["12", "31", "44", "5", "60", "7", "23", "51"]
