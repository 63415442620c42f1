"""Pixels of one camera seen by another: project, keep the nearest, fill holes, sample; each in numpy and for numba.

Both ways do the same operations in float32 in the same order, so their results are equal. A point that the other camera
does not see has NaN for coordinates.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from gemini_ros.core.compiled import compile_kernel

PINHOLE, POLYNOMIAL, EQUIDISTANT = range(3)
NEAR_M = np.float32(0.01)
"""What is nearer to the other camera's plane, or behind it, is not seen by it."""
_NEAREST = np.float32(1) / NEAR_M
_ZERO, _HALF, _ONE, _TWO = (np.float32(v) for v in (0.0, 0.5, 1.0, 2.0))
_NAN, _INF, _RIGHT_ANGLE = np.float32(np.nan), np.float32(np.inf), np.float32(np.pi / 2)
_SAME_SURFACE = np.float32(0.05)
"""Depths of neighbours on one surface differ by less than this share."""
_EDGE = np.float32(0.65)
"""Share of what a point would cover, towards a neighbour that is not on its surface: nobody knows where it ends."""
_SLIGHT = np.float32(1e-3)
"""Pixels squared: three points that span less lie in no plane that is known."""
_STRETCH = np.float32(3.0)
"""A pixel covers at most this many times what it covers of a surface that faces both cameras."""
_SHORT = np.float32(9.0)
"""A gap of fewer pixels between two of one surface belongs to it, whatever lies above and below."""
# Abramowitz and Stegun, Handbook of Mathematical Functions, 4.4.49: within 2e-8 up to 45 degrees.
_ATAN = tuple(
    np.float32(factor)
    for factor in (
        *(1.0, -0.3333314528, 0.1999355085, -0.1420889944, 0.1065626393),
        *(-0.0752896400, 0.0429096138, -0.0161657367, 0.0028662257),
    )
)


def _project_in_numpy(depth, columns, rows, offset, camera, model, lens, widest, u, v, w, cell, nearest) -> None:
    """Where the points of ``depth`` (H, W) lie in another camera, and the inverse of their depth there.

    A point is (``columns`` (3, 1 or H, W) + ``rows`` (3, H)) x depth + ``offset`` (3,). ``camera`` fx, fy, cx, cy;
    ``lens`` coefficients (12,) of ``model``; ``widest`` the greatest square of tan(angle) that the lens takes. ``u``,
    ``v`` and ``w`` (H + 2, W + 2) have an edge of NaN, so that every pixel has neighbours; where they are of three rows
    only, nothing is kept in them.

    ``nearest`` (h + 2, w + 2), also with an edge, gets the greatest inverse depth of the points in each cell of
    ``cell`` x ``cell`` pixels; where it has no cells, none is sought.
    """
    with np.errstate(all="ignore"):
        x = (columns[0] + rows[0][:, None]) * depth + offset[0]
        y = (columns[1] + rows[1][:, None]) * depth + offset[1]
        z = (columns[2] + rows[2][:, None]) * depth + offset[2]
        inverse = _ONE / z
        x, y = x * inverse, y * inverse
        square = x * x + y * y
        seen = (inverse > _ZERO) & (inverse < _NEAREST) & (square <= widest)
        if model == POLYNOMIAL:
            above = _ONE + square * (lens[0] + square * (lens[1] + square * lens[4]))
            below = _ONE + square * (lens[5] + square * (lens[6] + square * lens[7]))
            factor = above / below
            product = x * y
            prism_x, prism_y = square * (lens[8] + lens[9] * square), square * (lens[10] + lens[11] * square)
            x, y = (
                x * factor + _TWO * lens[2] * product + lens[3] * (square + _TWO * x * x) + prism_x,
                y * factor + lens[2] * (square + _TWO * y * y) + _TWO * lens[3] * product + prism_y,
            )
        elif model == EQUIDISTANT:
            radius = np.sqrt(square)
            small = np.where(radius > _ONE, _ONE / radius, radius)
            s = small * small
            series = _ATAN[8]
            for power in range(7, -1, -1):
                series = _ATAN[power] + s * series
            angle = np.where(radius > _ONE, _RIGHT_ANGLE - small * series, small * series)
            a = angle * angle
            bent = angle * (_ONE + a * (lens[0] + a * (lens[1] + a * (lens[2] + a * lens[3]))))
            factor = np.where(radius > _ZERO, bent / radius, _ONE)
            x, y = x * factor, y * factor
        x, y = x * camera[0] + camera[2], y * camera[1] + camera[3]
        x, y, inverse = (np.where(seen, values, _NAN) for values in (x, y, inverse))
        if len(u) == len(depth) + 2:
            u[1:-1, 1:-1], v[1:-1, 1:-1], w[1:-1, 1:-1] = x, y, inverse
        if nearest.size:
            share, edge = _ONE / cell, _ONE + _HALF / cell
            x, y = x * share + edge, y * share + edge
            inside = (x >= _ONE) & (x < np.float32(nearest.shape[1] - 1))
            inside &= (y >= _ONE) & (y < np.float32(nearest.shape[0] - 1))
            np.maximum.at(nearest, (y[inside].astype(np.int32), x[inside].astype(np.int32)), inverse[inside])


def _project_in_loops(depth, columns, rows, offset, camera, model, lens, widest, u, v, w, cell, nearest) -> None:
    """The same for numba. Loops over a row without a branch become vector instructions."""
    height, width = depth.shape
    squares, places = np.empty(width, np.float32), np.empty(width, np.int32)
    t_x, t_y, t_z = offset[0], offset[1], offset[2]
    fx, fy, cx, cy = camera[0], camera[1], camera[2], camera[3]
    kept, share, edge = u.shape[0] - 2, _ONE / cell, _ONE + _HALF / cell
    flat, side = nearest.reshape(-1), np.int32(nearest.shape[1])
    end_x, end_y = np.float32(nearest.shape[1] - 1), np.float32(nearest.shape[0] - 1)
    for row in range(height):
        line = row if columns.shape[1] > 1 else 0
        row_x, row_y, row_z = rows[0, row], rows[1, row], rows[2, row]
        depths, column_x, column_y, column_z = depth[row], columns[0, line], columns[1, line], columns[2, line]
        to = 1 + row % kept
        us, vs, ws = u[to, 1:], v[to, 1:], w[to, 1:]
        for i in range(width):
            inverse = _ONE / ((column_z[i] + row_z) * depths[i] + t_z)
            ws[i] = inverse if (inverse > _ZERO) & (inverse < _NEAREST) else _NAN  # which u and v inherit
        for i in range(width):
            us[i] = ((column_x[i] + row_x) * depths[i] + t_x) * ws[i]
        for i in range(width):
            vs[i] = ((column_y[i] + row_y) * depths[i] + t_y) * ws[i]
        if model != PINHOLE:
            for i in range(width):
                inverse, square = ws[i], us[i] * us[i] + vs[i] * vs[i]
                ws[i] = inverse if square <= widest else _NAN
                squares[i] = square if square <= widest else _NAN
        if model == POLYNOMIAL:
            k1, k2, p1, p2, k3, k4, k5, k6 = lens[0], lens[1], lens[2], lens[3], lens[4], lens[5], lens[6], lens[7]
            s1, s2, s3, s4 = lens[8], lens[9], lens[10], lens[11]
            for i in range(width):
                x, y, square = us[i], vs[i], squares[i]
                above = _ONE + square * (k1 + square * (k2 + square * k3))
                below = _ONE + square * (k4 + square * (k5 + square * k6))
                factor = above / below
                product = x * y
                prism_x, prism_y = square * (s1 + s2 * square), square * (s3 + s4 * square)
                us[i] = x * factor + _TWO * p1 * product + p2 * (square + _TWO * x * x) + prism_x
                vs[i] = y * factor + p1 * (square + _TWO * y * y) + _TWO * p2 * product + prism_y
        elif model == EQUIDISTANT:
            k1, k2, k3, k4 = lens[0], lens[1], lens[2], lens[3]
            a0, a1, a2, a3, a4, a5, a6, a7, a8 = _ATAN
            for i in range(width):
                radius = np.sqrt(squares[i])
                small = _ONE / radius if radius > _ONE else radius
                s = small * small
                series = a6 + s * (a7 + s * a8)
                series = a3 + s * (a4 + s * (a5 + s * series))
                series = a0 + s * (a1 + s * (a2 + s * series))
                angle = _RIGHT_ANGLE - small * series if radius > _ONE else small * series
                a = angle * angle
                bent = angle * (_ONE + a * (k1 + a * (k2 + a * (k3 + a * k4))))
                factor = _ONE if radius == _ZERO else bent / radius
                us[i] *= factor
                vs[i] *= factor
        for i in range(width):
            x, y = us[i] * fx + cx, vs[i] * fy + cy
            us[i], vs[i] = x, y
            x, y = x * share + edge, y * share + edge
            seen = (x >= _ONE) & (x < end_x) & (y >= _ONE) & (y < end_y)
            x, y = x if seen else _ZERO, y if seen else _ZERO  # a corner of the edge, beside no pixel
            places[i] = np.int32(y) * side + np.int32(x)
        if nearest.size:
            for i in range(width):  # without a branch: noise would make it a guess
                place, value = np.uint32(places[i]), ws[i]
                known = flat[place]
                flat[place] = value if value > known else known


def _splat_in_numpy(u, v, w, cover, slack, nearest) -> None:
    """The greatest inverse depth of the points that cover each pixel, into ``nearest`` (h + 2, w + 2), all zero.

    A point covers what lies between it and its neighbours, halfway, and at least one pixel; less towards a neighbour
    that is not on its surface: it is further in inverse depth than twice the one opposite and ``slack``, or further off
    than surfaces stretch. ``cover`` (x, y): the pixels that a point covers of a surface that faces both cameras.
    What it covers lies in the plane through it and those neighbours in row and column that are nearer in inverse depth.
    """
    with np.errstate(all="ignore"):
        along, down = (_neighbours_in_numpy(u, v, w, cover, slack, axis) for axis in (1, 0))
        left, right = _reach_in_numpy(along, down, cover, 0)
        top, bottom = _reach_in_numpy(down, along, cover, 1)
        (on_along, along_x, along_y, along_w), (on_down, down_x, down_y, down_w) = along[2], down[2]
        area = along_x * down_y - along_y * down_x
        flat = ~(on_along & on_down & (np.abs(area) > _SLIGHT))
        slope_x = np.where(flat, _ZERO, (along_w * down_y - down_w * along_y) / area)
        slope_y = np.where(flat, _ZERO, (along_x * down_w - down_x * along_w) / area)
        x, y, inverse = (values[1:-1, 1:-1] for values in (u, v, w))
        left, right, top, bottom = np.ceil(x - left), np.floor(x + right), np.ceil(y - top), np.floor(y + bottom)
        height, width = nearest.shape[0] - 2, nearest.shape[1] - 2
        seen = (right >= 0) & (left < width) & (bottom >= 0) & (top < height)
    left, right, top, bottom = (edge[seen].astype(np.int64) for edge in (left, right, top, bottom))
    x, y, inverse, slope_x, slope_y = (values[seen] for values in (x, y, inverse, slope_x, slope_y))
    for drop in range(int((bottom - top).max(initial=-1)) + 1):
        for step in range(int((right - left).max(initial=-1)) + 1):
            p, q = left + step, top + drop
            inside = (p <= right) & (q <= bottom) & (p >= 0) & (p < width) & (q >= 0) & (q < height)
            values = inverse + slope_x * (p.astype(np.float32) - x) + slope_y * (q.astype(np.float32) - y)
            np.maximum.at(nearest, (q[inside] + 1, p[inside] + 1), values[inside])


def _neighbours_in_numpy(u, v, w, cover, slack, axis):
    """The neighbours before and after, and the one of both that is nearer in inverse depth.

    Each as whether it is on the surface of a point, and the steps in u, v and w in the order of pixels, (H, W) each.
    """
    inner = (slice(1, -1), slice(1, -1))
    before = (slice(1, -1), slice(None, -2)) if axis else (slice(None, -2), slice(1, -1))
    after = (slice(1, -1), slice(2, None)) if axis else (slice(2, None), slice(1, -1))
    steps = ([of[inner] - of[before] for of in (u, v, w)], [of[after] - of[inner] for of in (u, v, w)])
    most = _STRETCH * cover
    far = [np.where(np.abs(to) < _INF, np.abs(to), _INF) for _, _, to in steps]
    even = (far[0] <= _TWO * far[1] + slack, far[1] <= _TWO * far[0] + slack)
    found = [
        (is_even & (np.abs(x) <= most[0]) & (np.abs(y) <= most[1]), x, y, to)
        for (x, y, to), is_even in zip(steps, even, strict=True)
    ]
    return [*found, [np.where(far[0] <= far[1], first, second) for first, second in zip(*found, strict=True)]]


def _reach_in_numpy(along, across, cover, axis):
    """How far a point covers to either side, in u (``axis`` 0) or v."""
    edge = cover[axis] * _EDGE
    first, second = (np.where(side[0], np.abs(side[1 + axis]), edge) for side in along[:2])
    ahead = np.where(along[0][0], along[0][1 + axis], along[1][1 + axis]) >= _ZERO
    other = np.where(across[2][0], np.abs(across[2][1 + axis]), _ZERO)
    sides = (np.where(ahead, first, second), np.where(ahead, second, first))
    return [np.maximum(np.maximum(side, other), _ONE) * _HALF for side in sides]


def _splat_in_loops(u, v, w, cover, slack, nearest) -> None:
    """The same for numba. Only the last loop over a row has a branch."""
    rows, columns = u.shape[0] - 2, u.shape[1] - 2
    last_x, last_y = np.float32(nearest.shape[1] - 3), np.float32(nearest.shape[0] - 3)
    most_x, most_y = _STRETCH * cover[0], _STRETCH * cover[1]
    edge_x, edge_y = cover[0] * _EDGE, cover[1] * _EDGE
    ends = np.empty((4, columns), np.int32)  # left, right, top, bottom
    slopes = np.zeros((2, columns), np.float32)
    for row in range(1, rows + 1):
        for i in range(1, columns + 1):
            x, y, inverse = u[row, i], v[row, i], w[row, i]
            back_x, back_y, back_w = x - u[row, i - 1], y - v[row, i - 1], inverse - w[row, i - 1]
            next_x, next_y, next_w = u[row, i + 1] - x, v[row, i + 1] - y, w[row, i + 1] - inverse
            up_x, up_y, up_w = x - u[row - 1, i], y - v[row - 1, i], inverse - w[row - 1, i]
            low_x, low_y, low_w = u[row + 1, i] - x, v[row + 1, i] - y, w[row + 1, i] - inverse
            back, next_ = abs(back_w), abs(next_w)
            back, next_ = back if back < _INF else _INF, next_ if next_ < _INF else _INF
            up, low = abs(up_w), abs(low_w)
            up, low = up if up < _INF else _INF, low if low < _INF else _INF
            on_back = (back <= _TWO * next_ + slack) & (abs(back_x) <= most_x) & (abs(back_y) <= most_y)
            on_next = (next_ <= _TWO * back + slack) & (abs(next_x) <= most_x) & (abs(next_y) <= most_y)
            on_up = (up <= _TWO * low + slack) & (abs(up_x) <= most_x) & (abs(up_y) <= most_y)
            on_low = (low <= _TWO * up + slack) & (abs(low_x) <= most_x) & (abs(low_y) <= most_y)
            is_back, is_up = back <= next_, up <= low
            on_along, on_down = on_back if is_back else on_next, on_up if is_up else on_low
            along_x, along_y = back_x if is_back else next_x, back_y if is_back else next_y
            down_x, down_y = up_x if is_up else low_x, up_y if is_up else low_y
            first, second = abs(back_x) if on_back else edge_x, abs(next_x) if on_next else edge_x
            other = abs(down_x) if on_down else _ZERO
            ahead = (back_x if on_back else next_x) >= _ZERO
            left, right = first if ahead else second, second if ahead else first
            left, right = left if left > other else other, right if right > other else other
            left, right = (left if left > _ONE else _ONE) * _HALF, (right if right > _ONE else _ONE) * _HALF
            first, second = abs(up_y) if on_up else edge_y, abs(low_y) if on_low else edge_y
            other = abs(along_y) if on_along else _ZERO
            ahead = (up_y if on_up else low_y) >= _ZERO
            top, bottom = first if ahead else second, second if ahead else first
            top, bottom = top if top > other else other, bottom if bottom > other else other
            top, bottom = (top if top > _ONE else _ONE) * _HALF, (bottom if bottom > _ONE else _ONE) * _HALF
            along_w, down_w = back_w if is_back else next_w, up_w if is_up else low_w
            area = along_x * down_y - along_y * down_x
            curved = on_along & on_down & (abs(area) > _SLIGHT)
            slopes[0, i - 1] = (along_w * down_y - down_w * along_y) / area if curved else _ZERO
            slopes[1, i - 1] = (along_x * down_w - down_x * along_w) / area if curved else _ZERO
            left, right, top, bottom = np.ceil(x - left), np.floor(x + right), np.ceil(y - top), np.floor(y + bottom)
            left, top = left if left > _ZERO else _ZERO, top if top > _ZERO else _ZERO
            right, bottom = right if right > -_ONE else -_ONE, bottom if bottom > -_ONE else -_ONE  # also of NaN
            ends[0, i - 1] = np.int32(left if left < last_x + _ONE else last_x + _ONE)
            ends[1, i - 1] = np.int32(right if right < last_x else last_x)
            ends[2, i - 1] = np.int32(top if top < last_y + _ONE else last_y + _ONE)
            ends[3, i - 1] = np.int32(bottom if bottom < last_y else last_y)
        for i in range(columns):
            x, y, inverse = u[row, i + 1], v[row, i + 1], w[row, i + 1]
            slope_x, slope_y = slopes[0, i], slopes[1, i]
            for q in range(ends[2, i], ends[3, i] + 1):
                for p in range(ends[0, i], ends[1, i] + 1):
                    value = inverse + slope_x * (np.float32(p) - x) + slope_y * (np.float32(q) - y)
                    if value > nearest[q + 1, p + 1]:
                        nearest[q + 1, p + 1] = value


def _fill_in_numpy(nearest, parallax, depth) -> None:
    """``depth`` (H, W) from inverse depths (H + 2, W + 2), without single holes: the mean of the pixels on either side.

    Only where both lie on one surface. ``parallax`` is the difference of inverse depths that moves a pixel by one. Any
    other hole is NaN.
    """
    here, first, second = nearest[1:-1, 1:-1], nearest[:-2, 1:-1], nearest[2:, 1:-1]
    with np.errstate(all="ignore"):
        over, under = np.full_like(depth, _NAN), np.ones_like(depth)
        for a, b in ((first, second), (nearest[1:-1, :-2], nearest[1:-1, 2:])):  # the pixels beside win
            least, most = np.minimum(a, b), np.maximum(a, b)
            one = (least > _ZERO) & (most - least <= _SAME_SURFACE * least) & (most - least <= parallax)
            over, under = np.where(one, _TWO, over), np.where(one, a + b, under)
        depth[:] = np.where(here > _ZERO, _ONE, over) / np.where(here > _ZERO, here, under)


def _fill_in_loops(nearest, parallax, depth) -> None:
    """The same for numba. Without a branch, all of it becomes vector instructions."""
    height, width = depth.shape
    for row in range(height):
        above, line, below, out = nearest[row, 1:], nearest[row + 1], nearest[row + 2, 1:], depth[row]
        for i in range(width):
            a, here, b = above[i], line[i + 1], below[i]
            least, most = a if a < b else b, b if a < b else a
            one = (least > _ZERO) & (most - least <= _SAME_SURFACE * least) & (most - least <= parallax)
            over, under = _TWO if one else _NAN, a + b if one else _ONE
            a, b = line[i], line[i + 2]
            least, most = a if a < b else b, b if a < b else a
            one = (least > _ZERO) & (most - least <= _SAME_SURFACE * least) & (most - least <= parallax)
            over, under = _TWO if one else over, a + b if one else under
            out[i] = (_ONE if here > _ZERO else over) / (here if here > _ZERO else under)


def _bridge_in_numpy(depth, parallax, bridged) -> None:
    """``depth`` (H, W) with a guess for every pixel that has none, by those before and after the gap in its row.

    Between two that differ by at most ``parallax`` of inverse depth it is the line between them, else the further one:
    what is not measured beside an edge mostly lies behind it. The two above and below the gap have a say. Where they
    lie on one surface and those of the row do not, or the other way round, the guess is the furthest of the four; but
    a gap of a few pixels in one surface of the row is part of that. A row without any stays without.
    """
    with np.errstate(all="ignore"):
        known = depth > _ZERO
        inverse = np.where(known, _ONE / depth, _ZERO)
        before, after, a, b = _beside_in_numpy(inverse, known)
        a, b = np.where(before < 0, b, a), np.where(after == depth.shape[1], a, b)
        far, span = np.minimum(a, b), (after - before).astype(np.float32)
        line = a + (b - a) * ((np.arange(depth.shape[1]) - before).astype(np.float32) / span)
        above, below = (of.T for of in _beside_in_numpy(inverse.T, known.T)[2:])
        above = np.where(above > _ZERO, above, np.where(below > _ZERO, below, far))
        below = np.where(below > _ZERO, below, above)
        even, upright = np.abs(a - b) <= parallax, np.abs(above - below) <= parallax
        furthest = np.minimum(far, np.minimum(above, below))
        guess = np.where(even & (upright | (span <= _SHORT)), line, np.where(even | upright, furthest, far))
        guess = _ONE / guess
        bridged[:] = np.where(known, depth, np.where(guess < _INF, guess, _NAN))


def _beside_in_numpy(inverse, known):
    """Of each pixel the columns and the inverse depths of those before and after it in its row that are known."""
    last = inverse.shape[1] - 1
    columns = np.arange(last + 1)
    before = np.maximum.accumulate(np.where(known, columns, -1), axis=1)
    after = np.minimum.accumulate(np.where(known, columns, last + 1)[:, ::-1], axis=1)[:, ::-1]
    a, b = (np.take_along_axis(inverse, np.clip(at, 0, last), axis=1) for at in (before, after))
    return before, after, np.where(before < 0, _ZERO, a), np.where(after > last, _ZERO, b)


def _bridge_in_loops(depth, parallax, bridged) -> None:
    """The same for numba. Columns are looked along only where there are gaps: each gap once."""
    height, columns = depth.shape
    aboves, belows = np.zeros(columns, np.float32), np.zeros(columns, np.float32)
    ends = np.zeros(columns, np.int64)
    for row in range(height):
        depths, out = depth[row], bridged[row]
        for i in range(columns):
            out[i] = depths[i]
        last = -1
        for i in range(columns + 1):
            if i < columns and not depths[i] > _ZERO:
                continue
            if i - last > 1:
                b = _ONE / depths[i] if i < columns else _ZERO
                a = _ONE / depths[last] if last >= 0 else b
                b = b if i < columns else a
                even, far, span = abs(a - b) <= parallax, min(a, b), np.float32(i - last)
                for k in range(last + 1, i):
                    if row > 0 and depth[row - 1, k] > _ZERO:
                        aboves[k] = _ONE / depth[row - 1, k]
                    if ends[k] <= row:
                        end = row + 1
                        while end < height and not depth[end, k] > _ZERO:
                            end += 1
                        ends[k], belows[k] = end, _ONE / depth[end, k] if end < height else _ZERO
                    above, below = aboves[k], belows[k]
                    above = above if above > _ZERO else (below if below > _ZERO else far)
                    below = below if below > _ZERO else above
                    upright = abs(above - below) <= parallax
                    if even and (upright or span <= _SHORT):
                        guess = _ONE / (a + (b - a) * (np.float32(k - last) / span))
                    else:
                        guess = _ONE / (min(far, above, below) if even or upright else far)
                    out[k] = guess if guess < _INF else _NAN
            last = i


def _sample_in_numpy(image, u, v, w, cell, nearest, parallax, out) -> None:
    """``image`` (h, w) at ``u``, ``v`` between its pixels, into ``out`` (H, W); NaN outside it and where hidden.

    A point is hidden where ``nearest``, of cells of ``cell`` x ``cell`` pixels with an edge of one cell, has an inverse
    depth that is greater by more than ``parallax``.
    """
    height, width = image.shape
    last_x, last_y = np.float32(width - 1), np.float32(height - 1)
    u, v, w = (values[1:-1, 1:-1] for values in (u, v, w))
    share, edge = _ONE / cell, _ONE + _HALF / cell
    with np.errstate(invalid="ignore", over="ignore"):
        inside = (u >= -_HALF) & (u <= last_x + _HALF) & (v >= -_HALF) & (v <= last_y + _HALF)
        x = np.where(inside, np.minimum(np.maximum(u, _ZERO), last_x), _ZERO)
        y = np.where(inside, np.minimum(np.maximum(v, _ZERO), last_y), _ZERO)
        front = nearest[(y * share + edge).astype(np.int32), (x * share + edge).astype(np.int32)]
        hidden = front - w > parallax
        left, top = x.astype(np.int32), y.astype(np.int32)
        right, bottom = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
        a, b = x - left.astype(np.float32), y - top.astype(np.float32)
        upper = image[top, left] + a * (image[top, right] - image[top, left])
        lower = image[bottom, left] + a * (image[bottom, right] - image[bottom, left])
        out[:] = np.where(inside & ~hidden, upper + b * (lower - upper), _NAN)


def _sample_in_loops(image, u, v, w, cell, nearest, parallax, out) -> None:
    """The same for numba."""
    last = np.uint32(image.shape[0] - 1), np.uint32(image.shape[1] - 1)
    last_x, last_y = np.float32(last[1]), np.float32(last[0])
    share, edge = _ONE / cell, _ONE + _HALF / cell
    for row in range(out.shape[0]):
        us, vs, ws = u[row + 1, 1:], v[row + 1, 1:], w[row + 1, 1:]
        for i in range(out.shape[1]):
            x, y = us[i], vs[i]
            if not ((x >= -_HALF) & (x <= last_x + _HALF) & (y >= -_HALF) & (y <= last_y + _HALF)):
                out[row, i] = _NAN
                continue
            x, y = min(max(x, _ZERO), last_x), min(max(y, _ZERO), last_y)
            front = nearest[np.uint32(y * share + edge), np.uint32(x * share + edge)]
            left, top = np.uint32(x), np.uint32(y)
            right, bottom = min(left + np.uint32(1), last[1]), min(top + np.uint32(1), last[0])
            a, b = x - np.float32(left), y - np.float32(top)
            upper = image[top, left] + a * (image[top, right] - image[top, left])
            lower = image[bottom, left] + a * (image[bottom, right] - image[bottom, left])
            out[row, i] = _NAN if front - ws[i] > parallax else upper + b * (lower - upper)


@dataclass(frozen=True)
class Kernels:
    """The steps, one way or the other."""

    name: str
    project: Callable[..., None]
    splat: Callable[..., None]
    fill: Callable[..., None]
    bridge: Callable[..., None]
    sample: Callable[..., None]


NUMPY = Kernels("numpy", _project_in_numpy, _splat_in_numpy, _fill_in_numpy, _bridge_in_numpy, _sample_in_numpy)


@lru_cache(maxsize=1)
def compiled() -> Kernels:
    """The steps compiled by numba, which takes seconds the first time; ``NUMPY`` where it is not installed."""
    loops = (
        (_project_in_loops, _project_signature),
        (_splat_in_loops, _splat_signature),
        (_fill_in_loops, _fill_signature),
        (_bridge_in_loops, _bridge_signature),
        (_sample_in_loops, _sample_signature),
    )
    made = [compile_kernel(function, signature) for function, signature in loops]
    return NUMPY if None in made else Kernels("numba", *made)  # type: ignore[arg-type]


def _project_signature(types: Any) -> Any:
    one, image, table = types.float32[::1], types.float32[:, ::1], types.float32[:, :, ::1]
    depth = types.Array(types.float32, 2, "C", readonly=True)
    real = types.float32
    return types.void(depth, table, image, one, one, types.int64, one, real, image, image, image, real, image)


def _splat_signature(types: Any) -> Any:
    image = types.float32[:, ::1]
    return types.void(image, image, image, types.float32[::1], types.float32, image)


def _fill_signature(types: Any) -> Any:
    return types.void(types.float32[:, ::1], types.float32, types.float32[:, ::1])


def _bridge_signature(types: Any) -> Any:
    read = types.Array(types.float32, 2, "C", readonly=True)
    return types.void(read, types.float32, types.float32[:, ::1])


def _sample_signature(types: Any) -> Any:
    image, read = types.float32[:, ::1], types.Array(types.float32, 2, "C", readonly=True)
    return types.void(read, image, image, image, types.float32, image, types.float32, image)
