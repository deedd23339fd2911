#include "check.h"

using namespace test;

namespace {

struct Attention {
  int64_t B, T, S, H, K, D;
  Floats q, k, v, dy;
  Ints padding;
  int64_t window = int64_t{1} << 40;
  double scale = 1 / std::sqrt(double(D));

  Attention(Random& random, int64_t B, int64_t T, int64_t S, int64_t H, int64_t K, int64_t D, Ints padding = {})
      : B(B), T(T), S(S), H(H), K(K), D(D), q(random.normals(B * T * H * D)), k(random.normals(B * S * K * D)), v(random.normals(B * S * K * D)),
        dy(random.normals(B * T * H * D)), padding(std::move(padding)) {
    this->padding.resize(size_t(B), 0);
  }

  Doubles sizes() const { return {double(B), double(T), double(S), double(H), double(K), double(D), double(window), scale}; }
  Call forward() const { return {"attention", {q, k, v, padding, Out{B * T * H * D}}, sizes()}; }
  Call grad() const {
    return {"attentionGrad", {dy, q, k, v, padding, Out{B * T * H * D}, Out{B * S * K * D}, Out{B * S * K * D}}, sizes()};
  }
  std::string name() const {
    const std::string sizes = text("B=%d T=%d S=%d H=%d K=%d D=%d", int(B), int(T), int(S), int(H), int(K), int(D));
    return window <= S ? sizes + text(" window=%d", int(window)) : sizes;
  }

  Attention within(int64_t positions) const {
    Attention narrow = *this;
    narrow.window = positions;
    return narrow;
  }

  /** The sequence b alone. */
  Attention sequence(int64_t b) const {
    Attention one = *this;
    one.B = 1;
    one.q = rowsOf(q, T * H * D, b, 1), one.dy = rowsOf(dy, T * H * D, b, 1);
    one.k = rowsOf(k, S * K * D, b, 1), one.v = rowsOf(v, S * K * D, b, 1);
    one.padding = {padding[size_t(b)]};
    return one;
  }
  /** `count` queries from t on with the cache as it was then; of one sequence. */
  Attention queries(int64_t t, int64_t count) const {
    Attention one = *this;
    one.T = count, one.S = S - T + t + count;
    one.q = rowsOf(q, H * D, t, count), one.dy = rowsOf(dy, H * D, t, count);
    one.k = rowsOf(k, K * D, 0, one.S), one.v = rowsOf(v, K * D, 0, one.S);
    return one;
  }

  /** The longest of the vectors of D numbers. */
  double longest(const Floats& x) const {
    double most = 0;
    for (size_t i = 0; i < x.size(); i += size_t(D)) {
      double squares = 0;
      for (size_t d = i; d < i + size_t(D); d++) squares += double{x[d]} * x[d];
      if (std::isfinite(squares)) most = std::max(most, std::sqrt(squares));
    }
    return most;
  }
  /** The relative error of a softmax weight: the scores' rounding and some of its own. */
  double relative(bool exact = false) const {
    return (32 + (exact ? 128 : 8 * longest(q) * longest(k) * scale)) * EPS;
  }
  /** Σ p |v|, times that. */
  Doubles bound(bool exact = false) const {
    Attention sizes = *this;
    sizes.v = absolute(v);
    return scaled(boundBy(sizes.forward(), relative(exact)), 1);
  }
  /** |ds| <= 2 p |dy| |v| scale and the sums made of it; Σ p over the queries is dv for dy = 1. */
  std::vector<Doubles> gradBounds(bool exact = false) const {
    const double factor = relative(exact), ds = 2 * longest(dy) * longest(v) * scale;
    Attention ones = *this, sizes = *this;
    ones.dy.assign(dy.size(), 1.0f);
    sizes.dy = absolute(dy);
    return {Doubles(q.size(), factor * ds * longest(k)), boundBy(ones.grad(), factor * ds * greatest(q), 2), boundBy(sizes.grad(), factor, 2)};
  }
};

/** f(label, inputs, exact) for all that both kernels are checked on. */
void forAttentions(const std::function<void(const std::string&, const Attention&, bool)>& f) {
  Random random;
  const auto one = [&](const std::string& label, const Attention& a, bool exact = false) { f(label + " " + a.name(), a, exact); };
  for (const int64_t T : {1, 2, 3, 15, 16, 17, 31, 33, 100}) {
    one("self", Attention(random, 1, T, T, 2, 1, 16));
    one("cache", Attention(random, 2, T, T + 37, 4, 2, 5, {0, 20}));
  }
  for (const int64_t D : {1, 2, 3, 4, 15, 16, 17, 31, 32, 33, 48, 64, 80, 100, 128}) one("width", Attention(random, 1, 9, 19, 3, 1, D));
  for (const int64_t K : {1, 2, 3, 6}) one("groups", Attention(random, 2, 5, 8, 6, K, 8, {0, 2}));
  for (const int32_t padding : {0, 1, 15, 16, 17, 32, 33}) one("padding", Attention(random, 2, 33, 33, 2, 2, 20, {padding, 0}));
  one("no sequences", Attention(random, 0, 3, 5, 2, 1, 4));
  one("shared among threads", Attention(random, 3, 70, 101, 4, 2, 64, {0, 40, 70}));

  // Padding that hides every key of some queries, and of a whole sequence.
  one("hidden rows", Attention(random, 3, 7, 7, 2, 1, 8, {7, 3, 6}));
  one("all hidden", Attention(random, 2, 4, 20, 2, 2, 8, {20, 20}));
  one("beyond the ends", Attention(random, 2, 4, 20, 2, 2, 8, {-3, 25}));

  // Scores to ±1e4: integers whose sums, halved, are exact.
  Attention large(random, 2, 17, 33, 2, 1, 4, {0, 9});
  large.q = random.integers(int64_t(large.q.size()), 70), large.k = random.integers(int64_t(large.k.size()), 70);
  one("scores of 1e4", large, true);

  // What no query may see can be anything: the keys before the padding, and the queries without a key.
  Attention hidden(random, 2, 9, 9, 2, 1, 8, {4, 0});
  const int64_t keyWidth = hidden.K * hidden.D, queryWidth = hidden.H * hidden.D;
  std::fill(hidden.k.begin(), hidden.k.begin() + 4 * keyWidth, -INF);
  std::fill(hidden.v.begin(), hidden.v.begin() + 4 * keyWidth, NOT_A_NUMBER);
  std::fill(hidden.q.begin(), hidden.q.begin() + 4 * queryWidth, NOT_A_NUMBER);
  std::fill(hidden.dy.begin(), hidden.dy.begin() + 4 * queryWidth, NOT_A_NUMBER);
  one("NaN that is hidden", hidden);

  // Narrower than a block of queries, around a tile's 16 keys, and wider than what is there.
  for (const int64_t window : {1, 2, 3, 7, 8, 15, 16, 17, 20, 33, 60, 77, 78})
    for (const int64_t T : {1, 5, 40}) {
      one("window", Attention(random, 2, T, T + 37, 4, 2, 20, {0, 30}).within(window));
      one("window", Attention(random, 1, T, T + 37, 1, 1, 16).within(window));
    }
  one("window shared among threads", Attention(random, 3, 70, 301, 4, 2, 64, {0, 40, 290}).within(50));
  one("window and hidden rows", Attention(random, 3, 7, 7, 2, 1, 8, {7, 3, 6}).within(2));

  Attention before = Attention(random, 1, 9, 60, 2, 1, 8).within(5);
  std::fill(before.k.begin(), before.k.begin() + 47 * before.D, NOT_A_NUMBER);  // query 0 is at 51 and sees 47..
  std::fill(before.v.begin(), before.v.begin() + 47 * before.D, INF);
  one("NaN before the window", before);

  for (const double scale : {0.01, 1.0, 1.5}) {
    Attention scaled(random, 2, 9, 20, 2, 1, 20, {0, 5});
    scaled.scale = scale;
    one(text("scale %g", scale), scaled);
  }
}

}  // namespace

namespace {

/** The same attention, with the first P keys of each row in one of R prefixes. */
struct Prefixed {
  Attention whole;  // with every row's keys at length
  int64_t P, R, capacity;
  Floats k, v, prefixKeys, prefixValues;
  Ints rows;

  Prefixed(Random& random, const Attention& of, int64_t P, int64_t R, int64_t spare)
      : whole(of), P(P), R(R), capacity(of.S - P + spare), prefixKeys(random.normals(R * P * of.K * of.D)),
        prefixValues(random.normals(R * P * of.K * of.D)), rows(random.ids(of.B, R)) {
    cut();
  }

  int64_t width() const { return whole.K * whole.D; }
  /** Puts the prefixes into the keys at length, and what is after them into the rows' own; NaN in the spare places. */
  void cut() {
    k.assign(size_t(whole.B * capacity * width()), NOT_A_NUMBER), v = k;
    for (int64_t b = 0; b < whole.B; b++) {
      const auto own = [&](Floats& at) { return at.begin() + b * capacity * width(); };
      const auto prefix = [&](const Floats& of) { return of.begin() + rows[size_t(b)] * P * width(); };
      const auto all = [&](Floats& of) { return of.begin() + b * whole.S * width(); };
      std::copy(prefix(prefixKeys), prefix(prefixKeys) + P * width(), all(whole.k));
      std::copy(prefix(prefixValues), prefix(prefixValues) + P * width(), all(whole.v));
      std::copy(all(whole.k) + P * width(), all(whole.k) + whole.S * width(), own(k));
      std::copy(all(whole.v) + P * width(), all(whole.v) + whole.S * width(), own(v));
    }
  }
  Doubles sizes() const {
    Doubles all = whole.sizes();
    all.insert(all.end(), {double(P), double(capacity), double(R)});
    return all;
  }
  Call forward() const {
    return {"prefixAttention", {whole.q, k, v, whole.padding, prefixKeys, prefixValues, rows, Out{int64_t(whole.q.size())}}, sizes()};
  }
  Call grad() const {
    const int64_t own = int64_t(k.size()), prefix = int64_t(prefixKeys.size());
    return {"prefixAttentionGrad",
            {whole.dy, whole.q, k, v, whole.padding, prefixKeys, prefixValues, rows, Out{int64_t(whole.q.size())}, Out{own}, Out{own}, Out{prefix}, Out{prefix}},
            sizes()};
  }
  std::string name() const { return whole.name() + text(" P=%d R=%d capacity=%d", int(P), int(R), int(capacity)); }

  /** Of the bounds of keys at length: those of the rows' own, and the prefixes' sums. */
  std::vector<Doubles> gradBounds() const {
    const std::vector<Doubles> all = whole.gradBounds();
    std::vector<Doubles> bounds = {all[0], {}, {}, Doubles(prefixKeys.size()), Doubles(prefixKeys.size())};
    for (size_t i = 0; i < 2; i++)
      for (int64_t b = 0; b < whole.B; b++) {
        const auto at = all[1 + i].begin() + b * whole.S * width();
        bounds[1 + i].insert(bounds[1 + i].end(), at + P * width(), at + whole.S * width());
        for (int64_t j = 0; j < P * width(); j++) bounds[3 + i][size_t(rows[size_t(b)] * P * width() + j)] += at[j];
      }
    return bounds;
  }
};

void forPrefixes(bool spare, const std::function<void(const std::string&, const Prefixed&)>& f) {
  Random random(4);
  const auto one = [&](const Attention& a, int64_t P, int64_t R) {
    const Prefixed p(random, a, P, R, spare ? 7 : 0);
    f(p.name(), p);
  };
  for (const int64_t P : {0, 1, 3, 15, 16, 17, 31, 33}) one(Attention(random, 3, 5, 40, 4, 2, 20, {0, 4, 34}), P, 2);
  for (const int64_t D : {1, 4, 16, 33, 64}) one(Attention(random, 4, 3, 50, 2, 1, D, {0, 17, 16, 20}), 18, 3);
  one(Attention(random, 3, 1, 30, 2, 2, 8), 29, 1);
  one(Attention(random, 3, 7, 7, 2, 2, 8, {0, 2, 7}), 5, 1);  // queries in the prefix, and a hidden row
  one(Attention(random, 2, 3, 8, 2, 1, 8, {8, 1}), 8, 1);     // nothing but the prefix
  one(Attention(random, 1, 4, 9, 2, 1, 8), 4, 5);             // prefixes that nobody reads
  one(Attention(random, 6, 40, 130, 4, 2, 64, {0, 40, 0, 7, 0, 90}), 60, 2);
  for (const int64_t window : {1, 4, 16, 21, 39, 60})
    for (const int64_t P : {3, 16, 33}) one(Attention(random, 4, 5, 40, 4, 2, 20, {0, 4, 4, 34}).within(window), P, 1);
  one(Attention(random, 6, 40, 130, 4, 2, 64, {0, 0, 0, 7, 7, 90}).within(55), 60, 2);
  // A thread that starts in the middle of a row has packed too little of the prefix for the next.
  one(Attention(random, 10, 200, 401, 2, 1, 16).within(50), 200, 2);
}

}  // namespace

TEST(attention) {
  forAttentions([](const std::string& label, const Attention& a, bool exact) { check(label, a.forward(), {a.bound(exact)}); });

  Random random(2);
  Attention spoilt(random, 1, 20, 20, 2, 1, 8);
  spoilt.k[10 * 8 + 3] = NOT_A_NUMBER;  // seen by queries 10.. alone
  check("a NaN key", spoilt.forward(), {spoilt.bound()});
  Attention spoiltValue(random, 1, 20, 20, 2, 1, 8);
  spoiltValue.v[10 * 8 + 3] = NOT_A_NUMBER;  // in column 3
  check("a NaN value", spoiltValue.forward(), {spoiltValue.bound()});
  Attention masked(random, 1, 20, 20, 2, 1, 8);
  masked.q = absolute(masked.q);
  masked.k[10 * 8 + 3] = -INF;  // a score of -Infinity: weight zero
  check("a score of -Infinity", masked.forward(), {masked.bound()});
  std::fill(masked.k.begin(), masked.k.end(), -INF);
  check("no score but -Infinity", masked.forward(), {masked.bound()});

  Attention narrow = Attention(random, 1, 40, 40, 2, 1, 8).within(3);
  narrow.k[10 * 8 + 3] = NOT_A_NUMBER, narrow.v[20 * 8 + 3] = INF;  // seen by queries 10 to 12, and 20 to 22
  check("NaN within a window", narrow.forward(), {narrow.bound()});

  // A window of all positions is none; one of a single position gives its value.
  const Attention free(random, 2, 20, 50, 4, 4, 20, {0, 31});
  const int64_t size = int64_t(free.q.size());
  checkSameBits("window S", runAll(free.within(50).forward()), {0, 0, size}, runAll(free.forward()), {0, 0, size});
  for (const Outputs& outputs : runAll(free.within(1).forward()))
    for (int64_t b = 0; b < 2; b++)
      for (int64_t i = (b == 0 ? 0 : 1) * 80; i < 20 * 80; i++)
        expect(outputs[0].at(b * 20 * 80 + i) == double{free.v[size_t((b * 50 + 30) * 80 + i)]}, text("window 1: row %d, %d", int(b), int(i)));

  // A query alone on the cache, or few of them, as among all; a sequence alone as in the batch.
  const Attention wide(random, 3, 40, 70, 4, 2, 24, {0, 35, 50});
  for (const Attention& all : {wide, wide.within(13), wide.within(31)}) {
    const auto whole = runAll(all.forward());
    const int64_t width = all.H * all.D;
    for (int64_t b = 0; b < all.B; b++) {
      const Attention sequence = all.sequence(b);
      const std::string label = all.name() + text(" sequence %d", int(b));
      checkSameBits(label, whole, {0, b * all.T * width, all.T * width}, runAll(sequence.forward()), {0, 0, all.T * width});
      for (const int64_t t : {0, 1, 5, 20, 37})
        for (const int64_t count : {1, 3})
          checkSameBits(label + text(", %d queries from %d", int(count), int(t)), whole, {0, (b * all.T + t) * width, count * width},
                        runAll(sequence.queries(t, count).forward()), {0, 0, count * width});
    }
  }
}

TEST(attentionGrad) {
  forAttentions([](const std::string& label, const Attention& a, bool exact) { check(label, a.grad(), a.gradBounds(exact)); });

  Random random(3);
  const Attention wide(random, 3, 40, 70, 4, 2, 24, {0, 35, 50});
  for (const Attention& all : {wide, wide.within(13)}) {
    const auto whole = runAll(all.grad());
    for (int64_t b = 0; b < all.B; b++) {
      const auto alone = runAll(all.sequence(b).grad());
      for (int output = 0; output < 3; output++) {
        const int64_t size = output == 0 ? all.T * all.H * all.D : all.S * all.K * all.D;
        checkSameBits(all.name() + text(" sequence %d output %d", int(b), output), whole, {output, b * size, size}, alone, {output, 0, size});
      }
    }
  }
  const auto unbounded = runAll(wide.grad()), full = runAll(wide.within(70).grad());
  for (int output = 0; output < 3; output++) {
    const int64_t size = unbounded[0][size_t(output)].size();
    checkSameBits(text("window S output %d", output), full, {output, 0, size}, unbounded, {output, 0, size});
  }

  Attention narrow = Attention(random, 1, 16, 16, 2, 1, 8).within(1);
  narrow.k[15 * 8 + 3] = NOT_A_NUMBER;  // seen by query 15 alone, which sees no other
  check("a NaN key within a window", narrow.grad(), narrow.gradBounds());

  Attention a(random, 2, 3, 5, 4, 2, 2, {0, 3});
  a.q = random.grid(int64_t(a.q.size())), a.k = random.grid(int64_t(a.k.size())), a.v = random.grid(int64_t(a.v.size()));
  for (const int64_t window : {5, 2}) {
    a.window = window, a.scale = window == 2 ? 1.25 : a.scale;
    const Outputs gradients = define(a.grad());
    const auto loss = [&](Floats Attention::*input) {
      return [&a, input](const Floats& x) {
        Attention moved = a;
        moved.*input = x;
        return weigh(moved.forward(), 0, a.dy);
      };
    };
    checkGradient(a.name() + " dq", a.q, loss(&Attention::q), gradients[0].values());
    checkGradient(a.name() + " dk", a.k, loss(&Attention::k), gradients[1].values());
    checkGradient(a.name() + " dv", a.v, loss(&Attention::v), gradients[2].values());
  }
}

TEST(prefixAttention) {
  forPrefixes(true, [](const std::string& label, const Prefixed& p) {
    check(label, p.forward(), {p.whole.bound()});
    const int64_t size = int64_t(p.whole.q.size());
    checkSameBits(label + " as at length", runAll(p.forward()), {0, 0, size}, runAll(p.whole.forward()), {0, 0, size});
  });
}

TEST(prefixAttentionGrad) {
  forPrefixes(false, [](const std::string& label, const Prefixed& p) {
    check(label, p.grad(), p.gradBounds());
    const int64_t size = int64_t(p.whole.q.size()), own = (p.whole.S - p.P) * p.width();
    const auto prefixed = runAll(p.grad()), atLength = runAll(p.whole.grad());
    checkSameBits(label + " dq as at length", prefixed, {0, 0, size}, atLength, {0, 0, size});
    for (const int output : {1, 2})
      for (int64_t b = 0; b < p.whole.B; b++)
        checkSameBits(label + text(" output %d of row %d as at length", output, int(b)), prefixed, {output, b * own, own}, atLength,
                      {output, b * p.whole.S * p.width() + p.P * p.width(), own});
  });

  Random random(5);
  Attention a(random, 3, 3, 6, 2, 1, 2, {0, 1, 3});
  a.q = random.grid(int64_t(a.q.size())), a.k = random.grid(int64_t(a.k.size())), a.v = random.grid(int64_t(a.v.size()));
  Prefixed p(random, a, 2, 2, 0);
  p.prefixKeys = random.grid(int64_t(p.prefixKeys.size())), p.prefixValues = random.grid(int64_t(p.prefixValues.size()));
  const Outputs gradients = define(p.grad());
  const auto loss = [&](Floats Prefixed::*input) {
    return [&p, input](const Floats& x) {
      Prefixed moved = p;
      moved.*input = x;
      return weigh(moved.forward(), 0, p.whole.dy);
    };
  };
  checkGradient("dk", p.k, loss(&Prefixed::k), gradients[1].values());
  checkGradient("dv", p.v, loss(&Prefixed::v), gradients[2].values());
  checkGradient("dprefix keys", p.prefixKeys, loss(&Prefixed::prefixKeys), gradients[3].values());
  checkGradient("dprefix values", p.prefixValues, loss(&Prefixed::prefixValues), gradients[4].values());
}
