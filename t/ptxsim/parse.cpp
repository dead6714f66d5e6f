/*
 * The text of PTX to kernels.  What nvcc writes is a small part of the language
 * of the PTX ISA: entries with parameters, declarations of registers and
 * arrays, labels, instructions.  Anything else ends the program with its line.
 *
 * Arrays in shared memory lie apart from each other, so that an index that
 * leaves one does not reach the next, and begin at a multiple of 128 bytes, so
 * that their elements are in the banks where they would be.  Those that several
 * kernels of a module use are in those that name them.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include <unordered_map>

#include "ptx.h"

namespace ptx {

static const size_t gap = 128;

struct Parser {
	std::string text;
	size_t	 at;
	int	 lines;			/* before at */
	int	 line;			/* of the statement that was read */

	Kernel	*k;
	std::unordered_map<std::string, int> families;	/* %r of %r<9> */
	std::unordered_map<std::string, int> registers, labels;
	std::unordered_map<std::string, uint64_t> symbols;
	std::unordered_map<uint64_t, int> constants;
	std::map<std::string, std::string> arrays;	/* of all kernels */
	std::vector<std::string> targets;	/* of each instruction */

	[[noreturn]] void refuse(const char *what, const std::string &s);
	char	statement(std::string *s);
	void	module(Module &m);
	void	head(const std::string &s);
	void	body(void);
	void	declare(const std::string &s);
	void	array(const std::string &s, Space space);
	void	instruction(std::string s);
	void	operand(Ins &i, const std::string &s, bool to);
	void	address(Ins &i, const std::string &s);
	Source	source(const std::string &s);
	int	reg(const std::string &s);
	Source	constant(uint64_t v);
};

void
Parser::refuse(const char *what, const std::string &s)
{
	cbsim::fault("line %d of the PTX: %s: %s", line, what, s.c_str());
}

/* ---- text */

static std::string
trim(const std::string &s)
{
	size_t a = s.find_first_not_of(" \t\n"), b = s.find_last_not_of(" \t\n");

	return a == std::string::npos ? "" : s.substr(a, b - a + 1);
}

static std::vector<std::string>
words(const std::string &s)
{
	std::vector<std::string> v;
	size_t a = 0, b;

	while ((a = s.find_first_not_of(" \t\n,", a)) != std::string::npos) {
		b = s.find_first_of(" \t\n,", a);
		b = b == std::string::npos ? s.size() : b;
		v.push_back(s.substr(a, b - a));
		a = b;
	}
	return v;
}

/* Apart by commas that are outside of brackets. */
static std::vector<std::string>
operands(const std::string &s)
{
	std::vector<std::string> v;
	std::string part;
	int deep = 0;

	for (char c : s) {
		deep += c == '{' || c == '[';
		deep -= c == '}' || c == ']';
		if (c == ',' && deep == 0) {
			v.push_back(trim(part));
			part.clear();
		} else
			part += c;
	}
	if (!trim(part).empty())
		v.push_back(trim(part));
	return v;
}

static std::string
without_comments(const std::string &s)
{
	std::string out;
	size_t i = 0;

	while (i < s.size()) {
		if (s.compare(i, 2, "//") == 0)
			while (i < s.size() && s[i] != '\n')
				i++;
		else if (s.compare(i, 2, "/*") == 0)
			while (i < s.size() && s.compare(i - 2, 2, "*/") != 0)
				out += s[i++] == '\n' ? "\n" : "";
		else
			out += s[i++];
	}
	return out;
}

/*
 * Up to ; : { or }, which is the result, 0 at the end of the text.  A brace or
 * a colon within an instruction is part of it.
 */
char
Parser::statement(std::string *s)
{
	bool begun = false, quoted = false, entry;
	char c;

	s->clear();
	while (at < text.size()) {
		c = text[at++];
		lines += c == '\n';
		entry = c == '{' && (s->find(".entry") != std::string::npos ||
		    s->find(".func") != std::string::npos);
		quoted ^= c == '"';
		if (quoted || (c == ':' && (text[at] == ':' ||
		    text[at - 2] == ':'))) {
			*s += c;
			continue;
		}
		if (c == ';' || c == ':' || (c == '{' && (!begun || entry)) ||
		    (c == '}' && !begun))
			return c;
		if (!begun && !isspace(c)) {
			begun = true;
			line = 1 + lines;
		}
		*s += c;
	}
	return 0;
}

/* ---- a module */

void
Parser::module(Module &m)
{
	std::string s, name;
	size_t e;
	char c;
	int deep;

	while ((c = statement(&s)) != 0) {
		if ((e = s.find(".entry")) != std::string::npos) {
			k = new Kernel();
			head(s.substr(e + 6));
			m[k->name].reset(k);
			body();
		} else if (s.find(".func") != std::string::npos) {
			/* a function is an error only where it is called */
			for (deep = c == '{'; deep > 0 && at < text.size();
			    at++) {
				deep += (text[at] == '{') - (text[at] == '}');
				lines += text[at] == '\n';
			}
		} else if ((e = s.find(".shared")) != std::string::npos) {
			name = words(s).back();
			arrays[name.substr(0, name.find('['))] = trim(s.substr(
			    e));
		} else
			refuse("is not known here", trim(s));
	}
}

/* NAME ( .param ... , ... ) and limits, which do not matter here. */
void
Parser::head(const std::string &s)
{
	const size_t open = s.find('('), close = s.find(')');
	size_t n, align;

	k->name = trim(s.substr(0, open));
	k->nrows = FIRST_ROW;
	k->shared = gap;
	k->in_array.assign(gap, false);
	families.clear();
	registers = { { "%tid.x", TID_X }, { "%tid.y", TID_Y },
		{ "%tid.z", TID_Z }, { "%ntid.x", NTID_X },
		{ "%ntid.y", NTID_Y }, { "%ntid.z", NTID_Z },
		{ "%ctaid.x", CTAID_X }, { "%ctaid.y", CTAID_Y },
		{ "%ctaid.z", CTAID_Z }, { "%nctaid.x", NCTAID_X },
		{ "%nctaid.y", NCTAID_Y }, { "%nctaid.z", NCTAID_Z },
		{ "%laneid", LANEID }, { "%warpid", WARPID }, { "_", SINK } };
	labels.clear();
	symbols.clear();
	constants.clear();
	targets.clear();
	if (open == std::string::npos || close == std::string::npos)
		return;
	for (const std::string &p : operands(s.substr(open + 1, close - open -
	    1))) {
		std::string name;

		n = align = 0;
		for (const std::string &w : words(p)) {
			if (w[0] != '.')
				name = w;
			else if (isdigit(w[w.size() - 1]) && n == 0)
				n = (size_t)atoi(w.c_str() + 2) / 8;
		}
		align = n;
		if (p.find(".align") != std::string::npos && name.back() == ']')
			align = (size_t)atoi(p.c_str() + p.find(".align") + 6);
		if (name.find('[') != std::string::npos)
			n *= (size_t)atoi(name.c_str() + name.find('[') + 1);
		if (n == 0 || align == 0)
			refuse("is no parameter", p);
		k->param_bytes = (k->param_bytes + align - 1) / align * align;
		symbols[name.substr(0, name.find('['))] = k->param_bytes;
		k->params.push_back({ k->param_bytes, n });
		k->param_bytes += n;
	}
}

void
Parser::body(void)
{
	std::string s;
	int deep = 1, n = 0;
	char c;

	while (deep > 0) {
		if ((c = statement(&s)) == 0)
			refuse("ends early", k->name);
		s = trim(s);
		deep += (c == '{') - (c == '}');
		if (c == ':')
			labels[s] = (int)k->code.size();
		else if (c == ';' && s[0] == '.')
			declare(s);
		else if (c == ';' && !s.empty())
			instruction(s);
	}
	for (Ins &i : k->code) {
		const std::string &t = targets[(size_t)n++];

		if (i.flow != BRANCH)
			continue;
		line = i.line;
		if (labels.count(t) == 0)
			refuse("no such label", t);
		i.target = labels[t];
	}
	line = 0;
	if (k->code.empty() || k->code.back().flow == NEXT)
		refuse("does not end", k->name);
}

/* ---- declarations */

/* .shared .align 16 .b8 name[512] */
void
Parser::array(const std::string &s, Space space)
{
	const std::vector<std::string> w = words(s);
	const std::string &last = w.back();
	size_t n = 0, align = 16;

	for (size_t j = 0; j + 1 < w.size(); j++) {
		if (w[j] == ".align")
			align = (size_t)atoi(w[j + 1].c_str());
		else if (w[j][0] == '.' && isdigit(w[j].back()))
			n = (size_t)atoi(w[j].c_str() + 2) / 8;
	}
	if (last.find('[') != std::string::npos)
		n *= (size_t)atoi(last.c_str() + last.find('[') + 1);
	const std::string name = last.substr(0, last.find('['));
	if (space == SHARED && last.size() > 2 &&
	    last.compare(last.size() - 2, 2, "[]") == 0) {
		symbols[name] = DYNAMIC;
		return;
	}
	if (n == 0 || align > gap)
		refuse("is no array", s);
	if (space == LOCAL) {
		k->local = (k->local + align - 1) / align * align;
		symbols[name] = k->local;
		k->local += n;
		return;
	}
	symbols[name] = k->shared;
	k->in_array.resize(k->shared + n, true);
	k->shared = (k->shared + n + 2 * gap - 1) / gap * gap;
	k->in_array.resize(k->shared, false);
	if (k->shared > DYNAMIC)
		refuse("does not fit", s);
}

void
Parser::declare(const std::string &s)
{
	const std::vector<std::string> w = words(s);
	size_t open;

	if (w[0] == ".pragma" || w[0] == ".loc")
		return;
	if (w[0] == ".shared" || w[0] == ".local")
		return array(s, w[0] == ".shared" ? SHARED : LOCAL);
	if (w[0] != ".reg" || w.size() < 3)
		refuse("is not known here", s);
	for (size_t j = 2; j < w.size(); j++) {
		open = w[j].find('<');
		if (open == std::string::npos) {
			registers[w[j]] = k->nrows++;
			continue;
		}
		families[w[j].substr(0, open)] = k->nrows;
		k->nrows += atoi(w[j].c_str() + open + 1);
	}
}

/* ---- operands */

int
Parser::reg(const std::string &s)
{
	auto i = registers.find(s);
	size_t n = s.find_last_not_of("0123456789");

	if (i != registers.end())
		return i->second;
	if (n == std::string::npos || n + 1 == s.size())
		return -1;
	i = families.find(s.substr(0, n + 1));
	return i == families.end() ? -1 : i->second + atoi(s.c_str() + n + 1);
}

Source
Parser::constant(uint64_t v)
{
	auto i = constants.find(v);
	Row r;

	if (i != constants.end())
		return { true, i->second };
	for (int l = 0; l < 32; l++)
		set<uint64_t>(r, l, v);
	constants[v] = (int)k->constants.size();
	k->constants.push_back(r);
	return { true, constants[v] };
}

/* A register, a number, or the address of an array or a parameter. */
Source
Parser::source(const std::string &s)
{
	const int r = reg(s);
	char *end;
	uint64_t v;

	if (r >= 0)
		return { false, r };
	if (symbols.count(s) == 0 && arrays.count(s) != 0)
		array(arrays[s], SHARED);
	if (symbols.count(s) != 0)
		return constant(symbols[s]);
	if (s.compare(0, 2, "0f") == 0 || s.compare(0, 2, "0F") == 0 ||
	    s.compare(0, 2, "0d") == 0 || s.compare(0, 2, "0D") == 0)
		v = strtoull(s.c_str() + 2, &end, 16);
	else if (s[0] == '-')
		v = (uint64_t)strtoll(s.c_str(), &end, 0);
	else
		v = strtoull(s.c_str(), &end, 0);
	if (s.empty() || *end != '\0')
		refuse("is no operand", s);
	return constant(v);
}

/* [x], [x+8], [x+-8] */
void
Parser::address(Ins &i, const std::string &s)
{
	const size_t plus = s.find('+');
	const bool first = i.nfrom == 0;
	int64_t offset = 0;

	i.from[i.nfrom++] = source(trim(s.substr(1, (plus == std::string::npos ?
	    s.size() - 1 : plus) - 1)));
	if (plus != std::string::npos)
		offset = strtoll(s.c_str() + plus + 1, NULL, 0);
	if (offset != 0 && !first)
		refuse("is not known here", s);
	if (first)
		i.offset = offset;
}

/* to: is written. */
void
Parser::operand(Ins &i, const std::string &s, bool to)
{
	std::vector<std::string> parts = { s };
	const size_t bar = s.find('|');
	int r;

	if (s[0] == '[')
		return address(i, s);
	if (s[0] == '{')
		parts = words(s.substr(1, s.size() - 2));
	else if (bar != std::string::npos)
		parts = { s.substr(0, bar), s.substr(bar + 1) };
	for (const std::string &p : parts) {
		if (!to) {
			if (i.nfrom == 12)
				refuse("too many operands", i.text);
			i.from[i.nfrom++] = source(p);
			continue;
		}
		if ((r = reg(p)) < 0 || i.nto == 8)
			refuse("cannot be written", p);
		i.to[i.nto++] = r;
	}
}

/* @%p1 add.s32 %r1, %r2, 3 */
void
Parser::instruction(std::string s)
{
	std::vector<std::string> parts;
	const Op *op;
	std::string name;
	size_t end;
	Ins i = {};
	bool writes;

	for (char &c : s)
		c = c == '\n' || c == '\t' ? ' ' : c;
	i.text = s;
	i.line = line;
	i.guard = -1;
	if (s[0] == '@') {
		end = s.find(' ');
		i.unless = s[1] == '!';
		i.guard = reg(s.substr(i.unless ? 2 : 1, end - (i.unless ? 2 :
		    1)));
		if (i.guard < 0)
			refuse("no such predicate", s);
		s = trim(s.substr(end));
	}
	end = s.find(' ');
	name = s.substr(0, end);
	if (end != std::string::npos)
		parts = operands(s.substr(end));
	if ((op = op_find(name)) == NULL)
		op = warp_find(name);
	if (op != NULL) {
		i.run = op->run;
		i.flow = op->flow;
		i.flops = op->flops;
		writes = op->to > 0;
	} else if (access_find(i, name))
		writes = name.compare(0, 2, "ld") == 0 ||
		    name.compare(0, 4, "atom") == 0;
	else
		refuse("is no instruction that is known here", i.text);
	targets.push_back(i.flow == BRANCH && !parts.empty() ? parts[0] : "");
	if (i.flow != BRANCH)
		for (size_t j = 0; j < parts.size(); j++)
			operand(i, parts[j], writes && j == 0);
	if (i.flow == BARRIER && (i.nfrom != 1 ||
	    k->constants[(size_t)i.from[0].row].lo[0] != 0))
		refuse("is no barrier of all threads", i.text);
	k->code.push_back(i);
}

void
parse(Module &m, const std::string &text)
{
	Parser p = {};
	size_t at = 0, end;

	/* What ends with its line, not with a semicolon. */
	p.text = without_comments(text);
	for (const char *s : { ".version", ".target", ".address_size" })
		if ((at = p.text.find(s)) != std::string::npos) {
			end = p.text.find('\n', at);
			p.text.replace(at, end - at, end - at, ' ');
		}
	while (!p.text.empty() && isspace(p.text.back()))
		p.text.pop_back();
	p.module(m);
}

} /* namespace ptx */
