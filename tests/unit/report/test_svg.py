import re
import xml.etree.ElementTree as ET

from matplotlib.figure import Figure

from neuroinspect.report.svg import EDIT, INK, inline_svg, styled, to_svg


def drawn(text="label", name="plot"):
    with styled(name):
        figure = Figure(figsize=(3, 2))
        axes = figure.add_axes((0.1, 0.1, 0.8, 0.8))
        axes.plot([0, 1], [0, 1], "o-", color=EDIT)
        axes.text(0.5, 0.5, text)
        return to_svg(figure)


def test_the_same_figure_gives_the_same_bytes():
    assert drawn() == drawn()


def test_neither_date_nor_program_is_written():
    assert "metadata" not in drawn()
    assert not re.search(r"\d{4}-\d\d-\d\d|matplotlib v", drawn(), re.IGNORECASE)


def test_a_file_is_xml_that_holds_its_text():
    texts = [element.text for element in ET.fromstring(drawn("boat & <mug>")).iter() if element.tag.endswith("text")]
    assert "boat & <mug>" in texts


def test_a_dollar_in_a_name_starts_no_formula():
    assert ">$x^2$</text>" in drawn("$x^2$")


def test_letters_outside_the_plot_font_are_kept_without_a_warning(recwarn):
    assert "猫" in drawn("猫")
    assert not recwarn.list


def test_inside_the_page_colours_follow_the_theme():
    inline = inline_svg(drawn(), name="a", label="a plot")
    assert EDIT in drawn()
    assert EDIT not in inline
    assert INK not in inline
    assert "var(--accent)" in inline


def test_inside_the_page_every_reference_finds_its_own_identifier():
    inline = inline_svg(drawn(), name="a", label="a plot")
    identifiers = re.findall(r'\bid="([^"]+)"', inline)
    references = re.findall(r'(?:href="|url\()#([^")]+)', inline)
    assert references
    assert set(references) <= set(identifiers)
    assert all(identifier.startswith("a-") for identifier in identifiers)


def test_the_label_is_escaped():
    inline = inline_svg(drawn(), name="a", label='"><script>')
    assert "<script>" not in inline
    assert 'role="img"' in inline
