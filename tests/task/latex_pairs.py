r"""Sixty pairs of answers in LaTeX, written by hand, and whether they are equal."""

# One value written in two ways: `boxed` sees it too.
EQUAL_IN_WRITING = [
    (r"\frac{1}{2}", r"\dfrac12"),
    (r"\frac{1}{2}", "0.5"),
    (r"-\frac{3}{4}", r"\frac{-3}{4}"),
    (r"\frac{6}{8}", "3/4"),
    (r"0.\overline{3}", r"\tfrac{1}{3}"),
    (r"2\frac{1}{3}", r"\frac{7}{3}"),
    (r"1{,}200", "1,200"),
    (r"1.5 \times 10^{3}", "1500"),
    (r"5\text{ cm}", "5"),
    (r"12 \text{ m}^2", "12"),
    (r"90^\circ", "90"),
    (r"\$18.00", "18"),
    (r"50\%", "50"),
    (r"\text{Tuesday}", "Tuesday"),
    (r"\text{(A)}", "A"),
    (r"\textbf{(C)}", "(C)"),
    (r"\left(1, 3\right]", "(1,3]"),
    ("x = 5", "5"),
]

# One value, by algebra or by what a notation means.
EQUAL_IN_MEANING = [
    (r"\frac{1}{\sqrt{2}}", r"\frac{\sqrt{2}}{2}"),
    (r"\sqrt{12}", r"2\sqrt3"),
    (r"2^{10}", "1024"),
    (r"\log_2 8", "3"),
    (r"\frac{\pi}{4}", r"\frac14\pi"),
    (r"\sin 30^\circ", r"\frac12"),
    (r"\binom{5}{2}", "10"),
    (r"50\%", r"\frac{1}{2}"),
    (r"1 < x \le 3", "(1,3]"),
    (r"x \in (2,\infty)", "x > 2"),
    (r"(-\infty,3)\cup(3,\infty)", r"x \neq 3"),
    (r"\{1,2,3\}", r"\{3, 2, 1\}"),
    (r"x=1 \text{ or } x=2", "1, 2"),
    (r"(\frac12, -3)", r"\left(0.5,-3\right)"),
    (r"\begin{pmatrix} 1 & 0.5 \\ 3 & 4 \end{pmatrix}", r"\begin{bmatrix}1&\frac12\\3&2^2\end{bmatrix}"),
    ("(x+1)^2", "x^2 + 2x + 1"),
    (r"\frac{x^2-1}{x-1}", "x+1"),
    ("y = 2x + 3", "2x - y + 3 = 0"),
    (r"1 \pm \sqrt{2}", r"1+\sqrt2, 1-\sqrt2"),
    (r"(2+i)^2", "3+4i"),
]

UNEQUAL = [
    (r"\frac{1}{3}", "0.333"),
    (r"\frac{1}{2}", r"\frac{2}{1}"),
    ("5", "-5"),
    ("1,200", "1.2"),
    (r"2\frac{1}{3}", r"\frac{2}{3}"),
    (r"\pi", "3.14"),
    (r"\sqrt{2}", "2"),
    (r"\sqrt{2}", "1.414"),
    ("2^3", "3^2"),
    (r"\infty", r"-\infty"),
    ("(1,2)", "(2,1)"),
    ("(1,2)", "[1,2]"),
    ("[1,2)", "(1,2]"),
    ("x > 2", r"x \ge 2"),
    (r"\{1,2\}", r"\{1,2,3\}"),
    (r"\pm 2", "2"),
    (r"5\text{ million}", "5"),
    (r"\text{(A)}", r"\text{(B)}"),
    (r"\text{east}", r"\text{seat}"),
    ("(x+1)^2", "x^2+1"),
    ("2xy", "2"),
    (r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}", r"\begin{pmatrix} 2 \\ 1 \end{pmatrix}"),
]

# What math-verify's own comparison takes for the opposite, in either order.
NOT_AS_THE_LIBRARY = [
    (r"0.\overline{3}", r"\tfrac{1}{3}"),
    (r"\sin 30^\circ", r"\frac12"),
    (r"(2+i)^2", "3+4i"),
    (r"5\text{ million}", "5"),
]
