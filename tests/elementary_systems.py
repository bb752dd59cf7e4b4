"""Random small systems with quotients and functions, planted lumpings, and the definitions computed by
sympy or in rationals."""

import random
from fractions import Fraction
from functools import reduce

import sympy

X = sympy.symbols("x1:6")


def random_polynomial(draw, variables, terms=2, degree=2):
    return sympy.Add(
        *(
            draw.choice([1, 1, 2, -1, sympy.Rational(1, 2)])
            * sympy.Mul(*(draw.choice(variables) for _ in range(draw.randint(0, degree))))
            for _ in range(draw.randint(1, terms))
        )
    )


def random_quotient(draw, variables):
    below = 1 + draw.choice([1, 2]) * random_polynomial(draw, variables, 2, 2)
    if below == 0:
        below = sympy.Integer(1)
    return random_polynomial(draw, variables) / below ** draw.choice([1, 1, 2])


def random_function(draw, variables):
    inside = random_polynomial(draw, variables, 2, 1)
    return draw.choice([sympy.exp, sympy.sin, sympy.tanh])(inside)


def random_rate(draw, variables, functions=False):
    made = [random_polynomial, random_quotient, random_quotient]
    if functions:
        made.append(random_function)
    return sum(
        (draw.choice(made)(draw, variables) for _ in range(draw.randint(1, 2))), sympy.S.Zero
    )


def symmetric_system(seed, functions=False):
    """Equations made from each other by exchanging variables, some of them spoilt: lumpings are likely."""
    draw = random.Random(seed)
    variables = X[: draw.randint(2, 4)]
    rates = [random_rate(draw, variables, functions)]
    for i in range(1, len(variables)):
        rate = rates[0].xreplace({variables[0]: variables[i], variables[i]: variables[0]})
        if draw.random() < 0.3:
            rate = random_rate(draw, variables, functions)
        rates.append(rate)
    return dict(zip(variables, rates, strict=True))


def planted_forward(seed, functions=False):
    """A system whose block sums follow a small one, its blocks, and the small system."""
    draw = random.Random(seed)
    sizes = [draw.randint(1, 3) for _ in range(2)]
    small = sympy.symbols("y1:3")
    quotient = {y: random_rate(draw, small, functions) for y in small}
    names = list(X[: sum(sizes)])
    draw.shuffle(names)
    blocks = [names[: sizes[0]], names[sizes[0] :]]
    sums = {y: sum(block) for y, block in zip(small, blocks, strict=True)}
    system = {}
    for y, block in zip(small, blocks, strict=True):
        rest = quotient[y].subs(sums)
        for name in block[1:]:
            part = random_rate(draw, names, functions)
            system[name] = part
            rest -= part
        system[block[0]] = rest
    return system, blocks, quotient


def planted_backward(seed, functions=False):
    """A system in which members of blocks stay equal, and its blocks."""
    draw = random.Random(seed)
    sizes = [draw.randint(1, 3) for _ in range(2)]
    names = list(X[: sum(sizes)])
    draw.shuffle(names)
    blocks = [names[: sizes[0]], names[sizes[0] :]]
    small = sympy.symbols("y1:3")
    system = {}
    for block in blocks:
        rate = random_rate(draw, small, functions)
        for name in block:
            members = {y: draw.choice(b) for y, b in zip(small, blocks, strict=True)}
            rest = sympy.S.Zero
            wide = [b for b in blocks if len(b) > 1]
            if wide:
                i, j = draw.sample(draw.choice(wide), 2)
                rest = (i - j) * random_rate(draw, names, functions)
            system[name] = rate.subs(members) + rest
    return system, blocks


def exact_rhs(ode, state):
    """The right-hand side in rationals, term by term."""
    result = [Fraction(0)] * len(ode)
    for row, column, value in zip(ode.rows, ode.columns, ode.coefficients, strict=True):
        term = value
        for v, power in ode.monomials.factors(int(column)):
            term *= state[v] ** power
        result[row] += term
    return result


def is_zero(expression):
    """Exactly, for rational functions of symbols and of exp, sin, tanh, which are taken as free symbols."""
    free = {}
    for kernel in expression.atoms(sympy.Function):
        key = (kernel.func, sympy.expand(kernel.args[0]))
        free.setdefault(key, sympy.Dummy())
        opposite = (kernel.func, sympy.expand(-kernel.args[0]))
        if opposite in free and kernel.func is not sympy.exp:
            free[key] = -free[opposite]
    values = {k: free[k.func, sympy.expand(k.args[0])] for k in expression.atoms(sympy.Function)}
    values[sympy.E] = sympy.Dummy()  # exp(1)
    rational = sympy.sympify(expression).xreplace(values)
    names = sorted(rational.free_symbols, key=str)
    value = rational.xreplace({name: sympy.Integer(k) for k, name in enumerate(names, start=3)})
    if value.is_Rational and value != 0:  # exactly, at one point: most need not be multiplied out
        return False
    return numerator(rational, sympy.ring(sorted(rational.free_symbols, key=str), sympy.QQ)[0]) == 0


def numerator(expression, ring):
    """That of a rational function over one denominator, nothing cancelled, so it is 0 iff the function is."""
    return over_one(expression, ring)[0]


def over_one(expression, ring):
    """Numerator and denominator as polynomials."""
    if expression.is_Add:
        above, below = ring.zero, ring.one
        for term in sorted(expression.args, key=str):
            n, d = over_one(term, ring)
            above, below = (above + n, d) if d == below else (above * d + n * below, below * d)
        return above, below
    if expression.is_Mul:
        above, below = ring.one, ring.one
        for factor in expression.args:
            n, d = over_one(factor, ring)
            above, below = above * n, below * d
        return above, below
    if expression.is_Pow and expression.exp.is_Integer:
        n, d = over_one(expression.base, ring)
        power = abs(int(expression.exp))
        return (n**power, d**power) if expression.exp > 0 else (d**power, n**power)
    return ring.from_expr(expression), ring.one


def forward_equal(system, labels, i, j):
    """The sum of each block does not notice when x_i is exchanged for x_j."""
    variables, step = list(system), sympy.Symbol("step")
    for block in set(labels):
        f = sum(rate for rate, b in zip(system.values(), labels, strict=True) if b == block)
        moved = [f.subs(variables[k], variables[k] + step) for k in (i, j)]
        if not is_zero(moved[0] - moved[1]):
            return False
    return True


def backward_equal(system, labels, i, j):
    blocks = sympy.symbols(f"b0:{len(system)}")
    on_blocks = {v: blocks[b] for v, b in zip(system, labels, strict=True)}
    rates = list(system.values())
    return is_zero(rates[i].subs(on_blocks) - rates[j].subs(on_blocks))


def coarsest(system, equal, labels):
    """Split by the definition until nothing splits; labels in order of first appearance."""
    while True:
        finer, representatives = [], []
        for i in range(len(system)):
            for number, j in enumerate(representatives):
                if labels[i] == labels[j] and equal(system, labels, i, j):
                    finer.append(number)
                    break
            else:
                finer.append(len(representatives))
                representatives.append(i)
        if finer == labels:
            return labels
        labels = finer


def smallest_rows(system, observable):
    """The smallest row space with the observable that holds all gradients of its combinations, in echelon form.

    By the definition: gradients over a common denominator, and the coefficients of their monomials; a function
    is a free symbol of its argument, its derivative another one.
    """
    variables, free, slopes = list(system), {}, {}
    kernels = {k for rate in system.values() for k in sympy.sympify(rate).atoms(sympy.Function)}
    for kernel in sorted(kernels, key=str):
        u = sympy.expand(kernel.args[0])
        sign = 1
        if kernel.func is not sympy.exp and u.could_extract_minus_sign():
            sign, u = -1, -u
        symbol, slope = (sympy.Symbol(f"{name}_{kernel.func}_{u}") for name in ("f", "d"))
        free[kernel] = sign * symbol
        slopes[symbol] = slope, u
    e = free[sympy.E] = sympy.Symbol("e")
    rates = [sympy.sympify(rate).xreplace(free) for rate in system.values()]
    gens = [*variables, *slopes, *(slope for slope, _ in slopes.values()), e]
    quotients = sympy.polys.fields.FracField(gens, sympy.QQ, sympy.lex)

    def gradient(row):
        f = sympy.Add(*(c * rate for c, rate in zip(row, rates, strict=True)))
        for v in variables:
            inner = (f.diff(s) * slope * u.diff(v) for s, (slope, u) in slopes.items())
            yield quotients.from_expr(sympy.Add(f.diff(v), *inner))

    space = sympy.Matrix([[observable.coeff(v) for v in variables]])
    done = 0
    while done < space.rows:
        entries = list(gradient(space.row(done)))
        below = reduce(lambda a, b: a.lcm(b), (entry.denom for entry in entries))
        tops = [entry.numer * below.exquo(entry.denom) for entry in entries]
        found = {tuple(top.get(m, sympy.QQ(0)) for top in tops) for top in tops for m in top}
        for entries in sorted(found):
            if space.rows == len(variables):
                return space.rref()[0]
            row = sympy.Matrix(
                [[sympy.Rational(int(c.numerator), int(c.denominator)) for c in entries]]
            )
            larger = space.col_join(row)
            if larger.rank() == larger.rows:
                space = larger
        done += 1
    return space.rref()[0]


def planted_linear(seed, functions=False):
    """A system in which combinations of the variables follow a small one, and these combinations."""
    draw = random.Random(seed)
    count, size = draw.randint(2, 4), draw.randint(1, 2)
    while True:
        change = sympy.Matrix(count, count, lambda i, j: draw.choice([0, 0, 1, 1, -1, 2]))
        if change.det() != 0:
            break
    variables = X[:count]
    rows = change * sympy.Matrix(variables)
    seen = sympy.symbols(f"z1:{count + 1}")
    rates = [random_rate(draw, seen[:size], functions) for _ in range(size)]
    rates += [random_rate(draw, seen, functions) for _ in range(count - size)]
    known = dict(zip(seen, rows, strict=True))
    moved = change.inv() * sympy.Matrix([sympy.sympify(rate).subs(known) for rate in rates])
    return dict(zip(variables, moved, strict=True)), list(rows)[:size]
