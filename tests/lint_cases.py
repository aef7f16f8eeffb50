"""Code that lint finds fault with, each beside code that does the same in a way that is allowed.

Of a pair, the first has a finding of that code in the line that ends with `# here`; the second has none at all.
"""

from __future__ import annotations

from textwrap import dedent, indent
from typing import Final, NamedTuple


class Pair(NamedTuple):
    code: str
    wrong: str
    fine: str


SHARES: Final = """{
    "order": {"/*": {"buyer", "seller"}, "/price": {"buyer"}, "/lines/*/cost": {"buyer"}, "/place": {"buyer"},
              "/place/city": {"buyer", "seller"}, "/note": {"buyer"}},
    "invoice": {"/*": {"buyer", "seller", "bank"}, "/price": {"seller"}, "/lines/*/cost": {"seller"},
                "/place": {"seller"}},
}"""


def contract(body: str = "return {}", *, more: str = "") -> str:
    """A contract whose `apply` has this body, and what else stands in the file."""
    return (
        '"""A title."""\n\n'
        'ROLES = {"buyer", "seller", "bank"}\nSIGNERS = {"buyer", "seller"}\n'
        'AUTHORS = {"order": {"buyer"}, "invoice": {"seller"}}\n'
        f"SHARES = {SHARES}\n"
        f"{dedent(more)}\n\n"
        'def key(record):\n    return record["body"]["id"]\n\n\n'
        f"def apply(state, record, terms):\n{indent(dedent(body).strip(), '    ')}\n"
    )


IN_APPLY: Final = [
    Pair("float-used", 'return {"rate": 0.05}  # here', 'return {"rate": Decimal("0.05")}'),
    Pair("float-used", 'return {"rate": abs(2j)}  # here', 'return {"rate": abs(-2)}'),
    Pair("float-used", 'return {"rate": float(terms["rate"])}  # here', 'return {"rate": Decimal(terms["rate"])}'),
    Pair("python-warns", 'return {"a": state is "x"}  # here', 'return {"a": state is None or state == "x"}'),
    Pair("python-warns", 'assert (state, "x")  # here\nreturn {}', 'assert state, "x"\nreturn {}'),
    Pair(
        "python-warns",
        "import re\nreturn {'a': re.findall('\\d', 'x')}  # here",
        "import re\nreturn {'a': re.findall(r'\\d', 'x')}",
    ),
    Pair("division-used", 'return {"part": 1 / 3}  # here', 'return {"part": divide(1, 3, 2), "whole": 7 // 3}'),
    Pair("division-used", "a = 7\na /= 2  # here\nreturn {'a': a}", "a = 7\na //= 2\nreturn {'a': a}"),
    Pair("import-refused", "import os  # here\nreturn {'a': os.sep}", "import math\nreturn {'a': math.isqrt(9)}"),
    Pair(
        "import-refused",
        "import math\nreturn {'a': math.sqrt(9)}  # here",
        "from math import comb\nreturn {'a': comb(4, 2)}",
    ),
    Pair(
        "import-refused",
        "from math import sqrt  # here\nreturn {'a': sqrt(9)}",
        "from math import isqrt\nreturn {'a': isqrt(9)}",
    ),
    Pair(
        "import-refused",
        "from . import x  # here\nreturn {'a': x}",
        "from itertools import chain\nreturn {'a': [*chain()]}",
    ),
    Pair("import-refused", "import json.decoder  # here\nreturn {}", "import json\nreturn {'a': json.dumps({})}"),
    Pair(
        "import-refused",
        "import re\nreturn {'a': re.enum}  # here",
        "import re\nreturn {'a': bool(re.match('a', 'b'))}",
    ),
    Pair(
        "import-refused",
        "from decimal import setcontext  # here\nreturn {'a': setcontext}",
        "from decimal import Decimal\nreturn {'a': Decimal(1)}",
    ),
    Pair("name-forbidden", "return {'a': hash('a')}  # here", "hash = 'a'\nreturn {'a': hash}"),
    Pair("name-forbidden", "return {'a': id(state)}  # here", "id = record['id']\nreturn {'a': id}"),
    Pair("name-forbidden", "print('x')  # here\nreturn {}", "raise Reject('x')"),
    Pair("name-forbidden", "return open('/x').read()  # here", "open = 1\nreturn {'a': open}"),
    Pair("name-forbidden", "return eval('{}')  # here", "return {'a': 'eval'}"),
    Pair("name-forbidden", "return {'a': ().__class__}  # here", "return {'a': isinstance((), tuple)}"),
    Pair(
        "name-forbidden",
        "g = (x for x in [1])\nreturn g.gi_frame  # here",
        "g = (x for x in [1])\nreturn {'a': next(g)}",
    ),
    Pair("name-forbidden", "return {'a': __builtins__}  # here", "return {'a': __name__}"),
    Pair("name-forbidden", "return {'a': 'x'.__hash__()}  # here", "return {'a': 'x'.upper()}"),
    Pair("name-forbidden", "return {'a': getattr(state, terms['x'])}  # here", "return {'a': getattr(state, 'items')}"),
    Pair("name-forbidden", "return {'a': getattr(state, '_x')}  # here", "return {'a': hasattr(state, 'x')}"),
    Pair("name-forbidden", "return {'a': getattr(state, 'gi_frame')}  # here", "return {'a': state['gi_frame']}"),
    Pair("name-forbidden", "return dict(map(getattr, []))  # here", "return dict(map(tuple, []))"),
    Pair("name-forbidden", "return {'a': type('X', (), {})}  # here", "return {'a': type(state) is dict}"),
    Pair("name-forbidden", "del len  # here\nreturn {}", "a = 1\ndel a\nreturn {}"),
    Pair("name-unknown", "return stat  # here", "return state"),
    Pair(
        "clock-asked",
        "import datetime\nreturn {'a': datetime.date.today()}  # here",
        "import datetime\nreturn {'a': datetime.date.fromisoformat('2026-01-01').day}",
    ),
    Pair(
        "clock-asked",
        "from datetime import datetime as d\nreturn {'a': d.now()}  # here",
        "now = record['time']\nreturn {'a': now}",
    ),
    Pair(
        "clock-asked",
        "from datetime import datetime, UTC\nt = datetime(2026, 1, 1)\nreturn {'a': t.astimezone()}  # here",
        "from datetime import datetime, UTC\nt = datetime(2026, 1, 1)\nreturn {'a': t.astimezone(UTC).hour}",
    ),
    Pair(
        "float-used",
        "from datetime import timedelta\nreturn {'a': timedelta(1).total_seconds()}  # here",
        "from datetime import timedelta\nreturn {'a': timedelta(1) // timedelta(seconds=1)}",
    ),
    Pair("format-reaches", "return {'a': '{0.real}'.format(1)}  # here", "return {'a': '{:.2f} {{0.a}}'.format(1)}"),
    Pair("format-reaches", "return {'a': '{0[a]}'.format(state)}  # here", "return {'a': '{0}'.format(1)}"),
    Pair("format-reaches", "return {'a': terms['x'].format(1)}  # here", "return {'a': f'{terms} 1', 'b': '%s' % 1}"),
    Pair(
        "except-broad",
        "try:\n    return state['a']\nexcept:  # here\n    return {}",
        "try:\n    return state['a']\nexcept KeyError:\n    return {}",
    ),
    Pair(
        "except-broad",
        "try:\n    return state['a']\nexcept Exception:  # here\n    return {}",
        "try:\n    return state['a']\nexcept (KeyError, TypeError):\n    return {}",
    ),
    Pair(
        "except-broad",
        "try:\n    return state['a']\nexcept (KeyError, BaseException):  # here\n    return {}",
        "try:\n    return state['a']\nexcept LookupError:\n    return {}",
    ),
    Pair(
        "limit-caught",
        "try:\n    return state['a']\nexcept RecursionError:  # here\n    return {}",
        "try:\n    return state['a']\nexcept ArithmeticError:\n    return {}",
    ),
    Pair(
        "finally-return",
        "try:\n    raise Reject('x')\nfinally:\n    return {}  # here",
        "try:\n    raise Reject('x')\nfinally:\n    state = None",
    ),
    Pair(
        "endless",
        "while True:  # here\n    while 1:\n        break\nreturn {}",
        "while True:\n    for x in state:\n        pass\n    else:\n        break\nreturn {}",
    ),
    Pair(
        "endless",
        "while 1:  # here\n    def f(): return 1\n    state = f()\nreturn {}",
        "while 1:\n    if state:\n        return {}",
    ),
    Pair(
        "endless",
        "try:\n    x = 1\nexcept IndexError:\n    while True:  # here\n        x = 2\nreturn {'a': x}",
        "n = 0\ntry:\n    while True:\n        n += state[n]\nexcept IndexError:\n    return {'n': n}",
    ),
    Pair("async-used", "x = [a async for a in state]  # here\nreturn {}", "x = [a for a in state]\nreturn {'a': x}"),
    Pair(
        "global-used",
        "global a  # here\na = 1\nreturn {}",
        "a = 1\ndef f():\n    nonlocal a\n    a = 2\nf()\nreturn {'a': a}",
    ),
    Pair(
        "context-changed",
        "from decimal import getcontext\ngetcontext().prec = 5  # here\nreturn {}",
        "from decimal import localcontext\nwith localcontext() as c:\n    c.prec = 5\n    return {}",
    ),
    Pair(
        "context-changed",
        "import decimal\nc = decimal.getcontext()\nc.traps[decimal.Inexact] = True  # here\nreturn {}",
        "import decimal\nreturn {'a': decimal.getcontext().prec}",
    ),
    Pair(
        "module-changed",
        "import decimal\ndecimal.x = 1  # here\nreturn {}",
        "import decimal\nx = decimal.Decimal(1)\nreturn {'a': x}",
    ),
    Pair(
        "module-changed",
        "import decimal\nsetattr(decimal, 'x', 1)  # here\nreturn {}",
        "import decimal\nreturn {'a': hasattr(decimal, 'Decimal')}",
    ),
    Pair("set-order", "return {'a': [x for x in {1, 2}]}  # here", "return {'a': [x for x in sorted({1, 2})]}"),
    Pair(
        "set-order",
        "for x in set(state):  # here\n    return {'a': x}",
        "for x in sorted(set(state)):\n    return {'a': x}\nreturn {}",
    ),
    Pair(
        "set-order",
        "a = set()\na.add(1)\nreturn {'a': list(a)}  # here",
        "a = set()\na.add(1)\nreturn {'a': sorted(a), 'n': len(a), 'b': 1 in a}",
    ),
    Pair(
        "set-order",
        "return {'a': ', '.join({'a'} | set(terms))}  # here",
        "return {'a': ', '.join(sorted({'a'} | set(terms)))}",
    ),
    Pair(
        "set-order", "return {'a': next(iter(ROLES))}  # here", "return {'a': max(ROLES), 'b': record['role'] in ROLES}"
    ),
    Pair("set-order", "return {'a': {'b', 'c'}.pop()}  # here", "return {'a': ['b', 'c'].pop()}"),
    Pair(
        "set-order", "a, b = {1, 2}  # here\nreturn {'a': a, 'b': b}", "a, b = sorted({1, 2})\nreturn {'a': a, 'b': b}"
    ),
    Pair("set-order", "return {'a': list({1, 2}) in state['rows']}  # here", "return {'a': 1 in list({1, 2})}"),
    Pair(
        "set-order",
        "rows = {1}\nif state:\n    rows = {2}\nreturn {'a': list(rows)}  # here",
        "rows = {1}\nif state:\n    rows = sorted(rows)\nreturn {'a': list(rows)}",
    ),
    Pair("set-order", "return {'a': [*frozenset(terms)]}  # here", "return {'a': len({*frozenset(terms)})}"),
    Pair("set-order", "return {'a': list(AUTHORS['order'])}  # here", "return {'a': list(AUTHORS)}"),
    Pair("set-order", "return {'a': list(state.keys() & terms.keys())}  # here", "return {'a': list(state.keys())}"),
    Pair(
        "set-order",
        "return {x: 1 for x in {1}}  # here",
        "return {'a': sorted({x for x in {1}}), 'b': sum(x for x in {1})}",
    ),
    Pair("ties-open", "return {'a': sorted({'a', 'b'}, key=len)}  # here", "return {'a': sorted(['a', 'b'], key=len)}"),
    Pair("text-unsteady", "return {'a': f'{ROLES}'}  # here", "return {'a': f'{sorted(ROLES)}'}"),
    Pair(
        "text-unsteady",
        "try:\n    return {'a': state['a']}\nexcept KeyError as e:\n    raise Reject(str(e))  # here",
        "try:\n    return {'a': state['a']}\nexcept KeyError as e:\n    raise Reject('no a') from e",
    ),
    Pair("text-unsteady", "return {'a': f'{apply!r}'}  # here", "return {'a': f'{terms!r}'}"),
    Pair(
        "type-unknown",
        "if record['type'] == 'ordr':  # here\n    return {}\nreturn state",
        "if record['type'] == 'order':\n    return {}\nreturn state",
    ),
    Pair(
        "type-unknown",
        "if record['type'] in ('order', 'invioce'):  # here\n    return {}\nreturn state",
        "if record['type'] not in ('order', 'invoice'):\n    return {}\nreturn state",
    ),
    Pair(
        "type-unknown",
        "kind = record['type']\nmatch kind:\n    case 'order' | 'bill':  # here\n        return {}\nreturn state",
        "match record['type']:\n    case 'order' | 'invoice':\n        return {}\nreturn state",
    ),
    Pair(
        "type-unknown",
        "return {'order': 1, 'bill': 2}[record['type']]  # here",
        "return {'order': 1}.get(record['type'], {'bill': 2})",
    ),
    Pair(
        "type-unknown", "return {'a': 'buyer' in AUTHORS['bill']}  # here", "return {'a': 'buyer' in AUTHORS['order']}"
    ),
    Pair(
        "role-unknown",
        "if 'byer' != record['role']:  # here\n    return {}\nreturn state",
        "if 'buyer' != record['role']:\n    return {}\nreturn state",
    ),
    Pair(
        "member-unknown",
        "return {'a': record['kind']}  # here",
        "return {'a': record['type'], 'b': record['sequence']['kind']}",
    ),
    Pair(
        "field-unseen",
        "record['body']['note'] += record['body']['price']  # here\nreturn {}",
        "record['body']['price'] = 1\nreturn {}",
    ),
    Pair("field-unseen", "return {'a': record['body']['price']}  # here", "return {'a': record['body']['note']}"),
    Pair(
        "field-unseen",
        "body = record['body']\nreturn {'a': body.get('price')}  # here",
        "body = state['body']\nreturn {'a': body.get('price')}",
    ),
    Pair("field-unseen", "return {'a': 'price' in record['body']}  # here", "return {'a': 'total' in record['body']}"),
    Pair(
        "field-unseen",
        "return {'a': record['body']['lines'][0]['cost']}  # here",
        "return {'a': record['body']['lines'][0]['sku']}",
    ),
    Pair(
        "field-unseen",
        "body = record['body']\nother = body\nreturn {'a': other['price']}  # here",
        "body = record['body']\nother = body\nreturn {'a': other['total']}",
    ),
    Pair(
        "field-unseen",
        "body, kind = record['body'], record['type']\nreturn {'a': body['price'], 'b': kind}  # here",
        "body, kind = record['body'], record['type']\nreturn {'a': body['total'], 'b': kind}",
    ),
    Pair(
        "field-unseen",
        "body = None\nif state:\n    body = record['body']\nelse:\n    body = record['body']\n"
        "return {'a': body['price']}  # here",
        "body = None\nif state:\n    body = record['body']\nelse:\n    body = record['body']['lines'][0]\n"
        "return {'a': body['price']}",
    ),
    Pair(
        "field-unseen",
        "return {'a': (record['body'] or {}).get('price'), 'b': (record['body'] if state else None)['id']}  # here",
        "body = record['body'] if terms else {}\nbody['price'] = 1\nreturn {'a': body['price']}",
    ),
    Pair(
        "field-unseen",
        "body = record['body']\nreturn {'a': 'price' in (body or {})}  # here",
        "body = record['body']\nbody = body['lines'][0]\nreturn {'a': body['price']}",
    ),
    Pair("function-wrong", "return None  # here", "return {'a': None}"),
    Pair("function-wrong", "if state:\n    return  # here\nreturn {}", "if state:\n    raise Reject('no')\nreturn {}"),
    Pair("function-wrong", "return [state]  # here", "return dict([('a', state)])"),
    Pair(
        "field-unseen",
        "if record['type'] == 'order':\n    return {'a': record['body']['note']}  # here\nreturn {}",
        "if record['type'] == 'invoice':\n    return {'a': record['body']['note']}\nreturn {}",
    ),
    Pair(
        "field-unseen",
        "match record['type']:\n    case 'order':\n        return {'a': record['body']['note']}  # here\nreturn {}",
        "match record['type']:\n    case 'order' | 'invoice':\n        return {'a': record['body']['note']}\nreturn {}",
    ),
    Pair(
        "field-unseen",
        "if record['type'] == 'invoice':\n    return {'a': record['body']['place']['city']}  # here\nreturn {}",
        "if record['type'] == 'order':\n    return {'a': record['body']['place']['city']}\nreturn {}",
    ),
    Pair("power-open", "return {'a': 10 ** terms['n']}  # here", "return {'a': 10 ** 6}"),
    Pair("power-open", "return {'a': pow(10, -1)}  # here", "return {'a': pow(10, 3), 'b': pow(7, 5, 3)}"),
    Pair(
        "key-missing",
        "return {'a': sorted([{'b': x} for x in state])}  # here",
        "return {'a': sorted([{'b': x} for x in state], key=lambda x: x['b'])}",
    ),
    Pair(
        "regex-slow",
        "import re\nreturn {'a': bool(re.match('(a+)+$', 'a'))}  # here",
        "import re\nreturn {'a': bool(re.match('(a[+*]b)+c+', 'a'))}",
    ),
    Pair("reason-missing", "raise Reject  # here", "raise Reject('no such order')"),
    Pair("builtin-replaced", "sum = 1  # here\nreturn {'a': sum}", "total = 1\nreturn {'a': total}"),
]
"""Bodies of `apply`."""
