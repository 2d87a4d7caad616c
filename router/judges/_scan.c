/* The inner loop of the linear judge: one pass over a text, no allocation. Computes exactly what ngrams.py, shape.py
 * and orders.py say in numpy (tests hold them together); knows no weights beyond those that it is given.
 *
 * scan(text, classes, table, shift, shape, circumstances, keys, concepts, shares, orders) -> (sum, tokens, pushed, turned)
 *   text     str, lower case; the first MAX_CHARS characters are read
 *   classes  65536 bytes: the class of each code point of the basic plane; others share the last one
 *   table    float16 buffer of 2**(64 - shift) weights: half the size stays in the processor's cache twice as well
 *   shape    float64 buffer of SHAPE weights, in the order of shape.py
 *   circumstances  bits: tools, format, images, turns, approved, as in shape.py
 *   keys, concepts, shares  uint32, uint8 and float of each slot of an open hash table, as in orders.py
 *   orders   float64 buffer: 2 * C pushing weights, 2 * C turning ones and the turning bias
 *   sum      the weights of all n-grams, those of a long middle damped; tokens: how many there are
 *   pushed   the share of shape and orders in the logit; turned: log-odds of the factor by which the sum counts
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#define MAX_CHARS 4096
#define EDGE_TOKENS 40
#define STEM_CHARS 5
#define CLASSES 10
#define SHAPE 26
#define ORDER_TOKENS 16
#define BEYOND_A_MARK 0.25
#define MAX_CONCEPTS 64
#define EMPTY 0xFFFFFFFFu
#define BASE 0x9E3779B97F4A7C15ULL
#define FIRST 0xD6E8FEB86659FD93ULL
#define SECOND 0xA0761D6478BD642FULL
#define NUMBER_SALT 0x589965CC75374CC3ULL
#define STEM_SALT 0x8EBC6AF09C88C6E3ULL
#define MIX 0xE7037ED1A0B428DBULL
#define MIX_SHIFT 29

enum { SPACE, LETTER, DIGIT, IDEOGRAPH, NEWLINE, PUNCTUATION, MATHS, MARKUP, BRACKET, OTHER };

typedef struct {
    uint64_t words[MAX_CHARS];
    uint64_t stems[MAX_CHARS];
    uint8_t has_stem[MAX_CHARS];
} Tokens;

/* IEEE 754 binary16 to float, subnormals included: move the bits, then mend the exponent's bias. */
static inline float widened(uint16_t half)
{
    const uint32_t bits = (uint32_t)(half & 0x7FFF) << 13;
    float value;
    memcpy(&value, &bits, sizeof value);
    value *= 0x1p112f;
    return half & 0x8000 ? -value : value;
}

static inline uint32_t bucket_of(uint64_t hash, int shift)
{
    hash ^= hash >> MIX_SHIFT;
    hash *= MIX;
    return (uint32_t)(hash >> shift);
}

/* Where meanings stand: near the start (first half of `found`) and near the end of the text. */
typedef struct {
    const uint32_t *keys;
    const uint8_t *concept_of;
    const float *shares;
    uint32_t mask;
    int concepts;
    double found[2 * MAX_CONCEPTS];
    double start[ORDER_TOKENS]; /* nearness of the first tokens to the start … */
    double end[ORDER_TOKENS];   /* … and, by distance, of the last ones to the end */
} Orders;

static inline int is_mark(uint64_t word)
{
    return word == '\n' || word == ':' || word == 0xFF1A || word == '"' || word == 0x201C || word == 0x300C ||
           word == 0x300E || word == 0xAB || word == '`';
}

/* How near the tokens at either end are to it, across no or few marks: `nearness_of_each` in orders.py. */
static void measure(Orders *orders, const uint64_t *words, Py_ssize_t n)
{
    const Py_ssize_t near = n < ORDER_TOKENS ? n : ORDER_TOKENS;
    Py_ssize_t quoted = n;
    double share = 1.0;
    for (Py_ssize_t token = 0; token < near; token++) {
        orders->start[token] = share * (1.0 - (double)token / ORDER_TOKENS);
        if (token && is_mark(words[token])) {
            share *= BEYOND_A_MARK;
            if (words[token] != '\n' && token < quoted)
                quoted = token;
        }
    }
    share = 1.0;
    for (Py_ssize_t distance = 0; distance < near; distance++) {
        const Py_ssize_t token = n - 1 - distance;
        orders->end[distance] = share * (1.0 - (double)distance / ORDER_TOKENS);
        if (quoted < token && token < 2 * ORDER_TOKENS)
            orders->end[distance] *= BEYOND_A_MARK;
        if (distance && words[token] == '\n')
            share *= BEYOND_A_MARK;
    }
}

static void note(Orders *orders, uint32_t bucket, double start, double end)
{
    for (uint32_t slot = bucket & orders->mask; orders->keys[slot] != EMPTY; slot = (slot + 1) & orders->mask) {
        if (orders->keys[slot] != bucket)
            continue;
        const int concept = orders->concept_of[slot];
        if (concept >= orders->concepts) /* a table that is not ours */
            continue;
        orders->found[concept] += (double)orders->shares[slot] * start;
        orders->found[orders->concepts + concept] += (double)orders->shares[slot] * end;
    }
}

/* The weight of an n-gram whose last token is `at` of `n`; notes what it means where an order may stand. */
static inline float look_up(const uint16_t *table, int shift, uint64_t hash, Orders *orders, Py_ssize_t at, Py_ssize_t n)
{
    const uint32_t bucket = bucket_of(hash, shift);
    if (at < ORDER_TOKENS || at >= n - ORDER_TOKENS)
        note(orders, bucket, at < ORDER_TOKENS ? orders->start[at] : 0.0,
             at >= n - ORDER_TOKENS ? orders->end[n - 1 - at] : 0.0);
    return widened(table[bucket]);
}

typedef struct {
    int kind;
    const void *data;
    Py_ssize_t size;
} Text;

/* Does the ASCII string `what` stand at `at`? */
static inline int stands(const Text *text, Py_ssize_t at, const char *what)
{
    for (; *what; what++, at++)
        if (at >= text->size || PyUnicode_READ(text->kind, text->data, at) != (Py_UCS4)(unsigned char)*what)
            return 0;
    return 1;
}

typedef struct {
    int backslash, frac, dollar, parenthesis, fence, program, question, options;
} Marks;

static void look_for_marks(const Text *text, Marks *m)
{
    for (Py_ssize_t i = 0; i < text->size; i++) {
        switch (PyUnicode_READ(text->kind, text->data, i)) {
        case '\\':
            m->backslash = 1;
            m->frac |= stands(text, i, "\\frac");
            m->parenthesis |= stands(text, i, "\\(");
            break;
        case '$':
            m->dollar = 1;
            break;
        case '`':
            m->fence |= stands(text, i, "```");
            break;
        case 'd':
            m->program |= stands(text, i, "def ");
            break;
        case '(':
            m->program |= stands(text, i, "();");
            break;
        case 'r':
            m->program |= stands(text, i, "return ");
            break;
        case 'p':
            m->program |= stands(text, i, "public class");
            break;
        case '?':
        case 0xFF1F: /* full width */
        case 0x061F: /* Arabic */
            m->question = 1;
            break;
        case '\n':
            m->options |= stands(text, i, "\nb. ") || stands(text, i, "\nb) ") || stands(text, i, "\n(b) ") ||
                          stands(text, i, "\nb: ");
            break;
        }
    }
}

static double shape_of(const Text *text, const long *counts, const double *weights, int circumstances)
{
    double chars = 0.0;
    for (int k = 0; k < CLASSES; k++)
        chars += (double)counts[k];
    const double share = 1.0 / (chars > 0.0 ? chars : 1.0);
    Marks m = {0};
    look_for_marks(text, &m);
    double pushed = weights[0] * log1p(chars) / 8.0;
    pushed += weights[1 + (chars > 24) + (chars > 96) + (chars > 384) + (chars > 1536)];
    pushed += weights[6] * sqrt((double)counts[DIGIT] * share);
    pushed += weights[7] * sqrt((double)counts[MATHS] * share);
    pushed += weights[8] * sqrt((double)counts[MARKUP] * share);
    pushed += weights[9] * sqrt((double)counts[BRACKET] * share);
    pushed += weights[10] * sqrt((double)counts[PUNCTUATION] * share);
    pushed += weights[11] * (double)counts[IDEOGRAPH] * share;
    pushed += weights[12] * sqrt((double)counts[OTHER] * share);
    pushed += weights[13] * log1p((double)counts[NEWLINE]) / 4.0;
    pushed += weights[14] * log1p((double)counts[DIGIT]) / 4.0;
    if (m.backslash && (m.frac || m.dollar || m.parenthesis))
        pushed += weights[15];
    if (m.fence)
        pushed += weights[16];
    if (m.program)
        pushed += weights[17];
    if (m.question)
        pushed += weights[18];
    if (m.options)
        pushed += weights[19];
    if (chars > 1536 && (double)(counts[MATHS] + counts[MARKUP]) < 0.02 * chars)
        pushed += weights[20];
    for (int k = 0; k < 5; k++)
        if (circumstances >> k & 1)
            pushed += weights[21 + k];
    return pushed;
}

/* Do the buffers of the orders fit together? `slots` must be a power of two with at least one empty slot. */
static int fits(const Py_buffer *keys, const Py_buffer *concepts, const Py_buffer *shares, const Py_buffer *orders)
{
    const Py_ssize_t slots = concepts->len, numbers = orders->len / (Py_ssize_t)sizeof(double);
    if (slots < 1 || slots > (Py_ssize_t)1 << 24 || (slots & (slots - 1)) || keys->len != slots * 4 ||
        shares->len != slots * 4 || orders->len % (Py_ssize_t)sizeof(double) || numbers % 4 != 1 ||
        numbers > 4 * MAX_CONCEPTS + 1)
        return 0;
    for (Py_ssize_t slot = slots - 1; slot >= 0; slot--)
        if (((const uint32_t *)keys->buf)[slot] == EMPTY)
            return 1;
    return 0;
}

static PyObject *scan_views(PyObject *text, const Py_buffer *classes, const Py_buffer *table, int shift,
                            const Py_buffer *shape, int circumstances, const Py_buffer *keys, const Py_buffer *concepts,
                            const Py_buffer *shares, const Py_buffer *turning)
{
    if (classes->len != 65536 || shift < 32 || shift > 60 ||
        table->len != (Py_ssize_t)(sizeof(uint16_t) << (64 - shift)) ||
        shape->len != SHAPE * (Py_ssize_t)sizeof(double) || !fits(keys, concepts, shares, turning)) {
        PyErr_SetString(PyExc_ValueError, "classes, table, shape or orders have the wrong size");
        return NULL;
    }
    Orders orders = {keys->buf, concepts->buf, shares->buf, (uint32_t)(concepts->len - 1),
                     (int)(turning->len / (Py_ssize_t)sizeof(double) / 4), {0.0}, {0.0}, {0.0}};
    const uint8_t *class_of = classes->buf;
    const uint16_t *weights = table->buf;
    Text view = {PyUnicode_KIND(text), PyUnicode_DATA(text), PyUnicode_GET_LENGTH(text)};
    const int kind = view.kind;
    const void *data = view.data;
    const Py_ssize_t size = view.size > MAX_CHARS ? MAX_CHARS : view.size;

    long counts[CLASSES] = {0};
    Tokens tokens; /* 68 KB of stack, of which a short text touches little */
    Py_ssize_t n = 0, i = 0;
    while (i < size) {
        Py_UCS4 code = PyUnicode_READ(kind, data, i);
        if (code > 0xFFFF)
            code = 0xFFFF;
        const uint8_t class = class_of[code];
        i++;
        if (class >= CLASSES) /* a table that is not ours */
            continue;
        counts[class]++;
        if (class == SPACE)
            continue;
        uint64_t hash = code, power = BASE, stem = 0;
        Py_ssize_t length = 1;
        if (class == LETTER || class == DIGIT) {
            while (i < size) {
                code = PyUnicode_READ(kind, data, i);
                if (code > 0xFFFF)
                    code = 0xFFFF;
                if (class_of[code] != class)
                    break;
                if (length == STEM_CHARS)
                    stem = hash + STEM_SALT;
                hash += (uint64_t)code * power;
                power *= BASE;
                length++;
                i++;
            }
            counts[class] += length - 1;
        }
        /* The length of a longer number is evidence, its value is not. */
        tokens.words[n] = class == DIGIT && length > 1 ? (uint64_t)length * NUMBER_SALT : hash;
        tokens.has_stem[n] = length > STEM_CHARS;
        tokens.stems[n] = stem;
        n++;
    }

    const Py_ssize_t middle = n - 2 * EDGE_TOKENS;
    const double damped = middle > EDGE_TOKENS ? (double)EDGE_TOKENS / (double)middle : 1.0;
    measure(&orders, tokens.words, n);
    double sum = 0.0;
    for (Py_ssize_t k = 0; k < n; k++) {
        /* An n-gram counts as much as its last token. */
        double here = look_up(weights, shift, tokens.words[k], &orders, k, n);
        if (k >= 1)
            here += look_up(weights, shift, tokens.words[k - 1] * FIRST + tokens.words[k], &orders, k, n);
        if (k >= 2) {
            const uint64_t pair = tokens.words[k - 2] * FIRST + tokens.words[k - 1];
            here += look_up(weights, shift, pair * SECOND + tokens.words[k], &orders, k, n);
        }
        if (tokens.has_stem[k])
            here += look_up(weights, shift, tokens.stems[k], &orders, k, n);
        sum += k >= EDGE_TOKENS && k < n - EDGE_TOKENS ? here * damped : here;
    }
    double pushed = shape_of(&view, counts, shape->buf, circumstances);
    const double *pushing = turning->buf;
    double turned = pushing[4 * orders.concepts];
    for (int k = 0; k < 2 * orders.concepts; k++) {
        const double stands = orders.found[k] < 1.0 ? orders.found[k] : 1.0;
        pushed += pushing[k] * stands;
        turned += pushing[2 * orders.concepts + k] * stands;
    }
    return Py_BuildValue("dndd", sum, n, pushed, turned);
}

static PyObject *scan(PyObject *module, PyObject *args)
{
    PyObject *text;
    Py_buffer classes, table, shape, keys, concepts, shares, orders;
    int shift, circumstances;
    if (!PyArg_ParseTuple(args, "Uy*y*iy*iy*y*y*y*", &text, &classes, &table, &shift, &shape, &circumstances, &keys,
                          &concepts, &shares, &orders))
        return NULL;
    PyObject *result =
        scan_views(text, &classes, &table, shift, &shape, circumstances, &keys, &concepts, &shares, &orders);
    PyBuffer_Release(&classes);
    PyBuffer_Release(&table);
    PyBuffer_Release(&shape);
    PyBuffer_Release(&keys);
    PyBuffer_Release(&concepts);
    PyBuffer_Release(&shares);
    PyBuffer_Release(&orders);
    return result;
}

static PyMethodDef methods[] = {
    {"scan", scan, METH_VARARGS,
     "scan(text, classes, table, shift, shape, circumstances, keys, concepts, shares, orders) -> (sum, tokens, pushed, "
     "turned)"},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_scan", NULL, 0, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__scan(void) { return PyModule_Create(&definition); }
