// rmsNorm, swiGlu, geGlu, rotary, embeddingLookup, adamW, sumSquares.
#include "check.h"

using namespace test;

namespace {

struct Norm {
  int64_t rows, d;
  Floats x, weight, dy;
  double eps = 1e-6;
  bool wantsDw = true;

  Norm(Random& random, int64_t rows, int64_t d) : rows(rows), d(d), x(random.normals(rows * d)), weight(random.normals(d)), dy(random.normals(rows * d)) {}

  Call forward() const { return {"rmsNorm", {x, weight, Out{rows * d}}, {double(rows), double(d), eps}}; }
  Call grad() const { return {"rmsNormGrad", {dy, x, weight, Out{rows * d}, Out{wantsDw ? d : 0}}, {double(rows), double(d), eps, double(wantsDw)}}; }
  Norm part(int64_t from, int64_t count) const {
    Norm some = *this;
    some.rows = count, some.x = rowsOf(x, d, from, count), some.dy = rowsOf(dy, d, from, count);
    return some;
  }
  std::string name() const { return text("rows=%d d=%d", int(rows), int(d)); }

  /** y is a product: its own size. */
  Doubles bound() const {
    Norm sizes = *this;
    sizes.x = absolute(x), sizes.weight = absolute(weight);
    return boundBy(sizes.forward(), 16 * EPS);
  }
  /** dx: |g| s + |x̂| s mean(|g x̂|); dw: Σ |dy x̂|. */
  std::vector<Doubles> gradBounds() const {
    Doubles dx, dw(static_cast<size_t>(d));
    for (int64_t r = 0; r < rows; r++) {
      double squares = 0, products = 0;
      const auto at = [&](const Floats& values, int64_t i) { return std::abs(double{values[size_t(r * d + i)]}); };
      for (int64_t i = 0; i < d; i++) {
        squares += at(x, i) * at(x, i);
        products += at(dy, i) * std::abs(weight[size_t(i)]) * at(x, i);
      }
      const double s = 1 / std::sqrt(squares / double(d) + eps);
      for (int64_t i = 0; i < d; i++) {
        dx.push_back(16 * EPS * s * (at(dy, i) * std::abs(weight[size_t(i)]) + at(x, i) * s * s * products / double(d)));
        dw[size_t(i)] += 16 * EPS * at(dy, i) * at(x, i) * s;
      }
    }
    return {dx, dw};
  }
};

void forNorms(const std::function<void(const std::string&, const Norm&)>& f) {
  Random random;
  for (const int64_t d : awkward)
    for (const int64_t rows : {0, 1, 2, 31, 32, 33, 65}) {
      const Norm n(random, rows, d);
      f("normal " + n.name(), n);
    }
  f("long", Norm(random, 3, 4099));
  f("shared among threads", Norm(random, 700, 1031));
  Norm n(random, 5, 100);
  for (int64_t i = 0; i < 100; i++) {
    n.x[size_t(i)] *= 1e4f, n.x[size_t(100 + i)] = 0, n.x[size_t(200 + i)] *= 1e-20f;
    n.x[size_t(300 + i)] *= 1e15f;
  }
  f("large, zero and small rows", n);
  n.x[450] = NOT_A_NUMBER;
  f("a NaN in row 4", n);
}

/** Two arrays, and g σ(u(g)) of the first times the second. */
struct Gated {
  const char *kernel, *gradKernel;
  double (*u)(double);
  double (*slope)(double);
};

const double GELU = std::sqrt(8 / std::acos(-1.0));
const Gated silu{"swiGlu", "swiGluGrad", [](double g) { return g; }, [](double) { return 1.0; }};
const Gated gelu{"geGlu", "geGluGrad", [](double g) { return GELU * (g + 0.044715 * g * g * g); },
                 [](double g) { return GELU * (1 + 3 * 0.044715 * g * g); }};

struct Gate {
  Gated of;
  Floats dy, gate, up;
  Gate(Gated of, Random& random, int64_t n) : of(of), dy(random.normals(n)), gate(random.normals(n, 4)), up(random.normals(n)) {}
  int64_t n() const { return int64_t(gate.size()); }
  Call forward() const { return {of.kernel, {gate, up, Out{n()}}, {double(n())}}; }
  Call grad() const { return {of.gradKernel, {dy, gate, up, Out{n()}, Out{n()}}, {double(n())}}; }
};

void forGates(Gated of, const std::function<void(const std::string&, const Gate&)>& f) {
  Random random;
  for (const int64_t n : awkward) f(text("n=%d", int(n)), Gate(of, random, n));
  f("n=0", Gate(of, random, 0));
  f("shared among threads", Gate(of, random, 300007));
  Gate extremes(of, random, 400);
  for (size_t i = 0; i < 400; i++) extremes.gate[i] = float(i) - 200;
  extremes.gate[0] = 1e4f, extremes.gate[1] = -1e4f, extremes.gate[2] = NOT_A_NUMBER, extremes.gate[3] = 0;
  extremes.up[4] = NOT_A_NUMBER, extremes.up[5] = 1e4f, extremes.dy[6] = -1e4f;
  f("extremes", extremes);
}

double sigmoidOf(double x) { return 1 / (1 + std::exp(-x)); }

/** Where σ is below the normal range it may be zero: the last term. */
double gateBound(double gate, double slope, double factor) {
  return std::abs(factor) * (8 * EPS * slope + 128 * TINY * (1 + std::abs(gate)));
}

struct Rotation {
  int64_t B, T, H, D, Bt;
  double sign;
  Floats x, cosines, sines;

  Rotation(Random& random, int64_t B, int64_t T, int64_t H, int64_t D, int64_t Bt, double sign)
      : B(B), T(T), H(H), D(D), Bt(Bt), sign(sign), x(random.normals(B * T * H * D)) {
    for (int64_t i = 0; i < Bt * T * D / 2; i++) {
      const double angle = 6.3 * random.uniform();
      cosines.push_back(float(std::cos(angle)));
      sines.push_back(float(std::sin(angle)));
    }
  }
  Call call() const {
    return {"rotary", {x, cosines, sines, Out{B * T * H * D}}, {double(B), double(T), double(H), double(D), double(Bt), sign}};
  }
  std::string name() const { return text("B=%d T=%d H=%d D=%d Bt=%d sign=%g", int(B), int(T), int(H), int(D), int(Bt), sign); }
};

/** |x₁ c| + |x₂ s|, to two roundings and that of the definition. */
Doubles rotaryBound(const Rotation& r) {
  const int64_t half = r.D / 2;
  Doubles bound(r.x.size());
  for (int64_t row = 0; row < r.B * r.T * r.H; row++) {
    const int64_t angles = row / r.H % (r.Bt * r.T) * half;
    for (int64_t i = 0; i < half; i++) {
      const double x1 = std::abs(r.x[size_t(row * r.D + i)]), x2 = std::abs(r.x[size_t(row * r.D + half + i)]);
      const double c = std::abs(r.cosines[size_t(angles + i)]), s = std::abs(r.sines[size_t(angles + i)]);
      bound[size_t(row * r.D + i)] = 3 * EPS * (x1 * c + x2 * s);
      bound[size_t(row * r.D + half + i)] = 3 * EPS * (x2 * c + x1 * s);
    }
  }
  return bound;
}

}  // namespace

TEST(rmsNorm) {
  forNorms([](const std::string& label, const Norm& n) { check(label, n.forward(), {n.bound()}); });
  Random random(2);
  const Norm all(random, 65, 257);
  const auto whole = runAll(all.forward());
  for (const int64_t row : {0, 30, 64})
    checkSameBits(text("row %d", int(row)), whole, {0, row * all.d, all.d}, runAll(all.part(row, 1).forward()), {0, 0, all.d});
}

TEST(rmsNormGrad) {
  forNorms([](const std::string& label, const Norm& n) { check(label, n.grad(), n.gradBounds()); });
  Random random(3);
  const Norm all(random, 65, 257);
  const auto whole = runAll(all.grad());
  for (const int64_t row : {0, 30, 64})
    checkSameBits(text("dx of row %d", int(row)), whole, {0, row * all.d, all.d}, runAll(all.part(row, 1).grad()), {0, 0, all.d});

  Norm frozen = all;
  frozen.wantsDw = false;
  checkSameBits("dx without dw", whole, {0, 0, all.rows * all.d}, runAll(frozen.grad()), {0, 0, all.rows * all.d});

  Norm n(random, 3, 5);
  n.x = random.grid(15), n.weight = random.grid(5), n.eps = 0.1;
  const Outputs gradients = define(n.grad());
  const auto loss = [&](Floats Norm::*input) {
    return [&n, input](const Floats& x) {
      Norm moved = n;
      moved.*input = x;
      return weigh(moved.forward(), 0, n.dy);
    };
  };
  checkGradient("dx", n.x, loss(&Norm::x), gradients[0].values());
  checkGradient("dw", n.weight, loss(&Norm::weight), gradients[1].values());
}

/** g σ(u): what rounding u does to σ is u times as large, but for silu, where u is g itself. */
double gateSlope(Gated of, double g, double size) { return size * (of.u(g) == g ? 1 : 1 + std::min(std::abs(of.u(g)), 150.0)); }

void checkGates(Gated of) {
  forGates(of, [of](const std::string& label, const Gate& g) {
    Doubles bound;
    for (size_t i = 0; i < g.gate.size(); i++) {
      const double x = g.gate[i];
      bound.push_back(gateBound(x, gateSlope(of, x, std::abs(x * sigmoidOf(of.u(x)))), g.up[i]));
    }
    check(label, g.forward(), {bound});
  });
}

void checkGateGradients(Gated of) {
  forGates(of, [of](const std::string& label, const Gate& g) {
    Doubles dgate, dup;
    for (size_t i = 0; i < g.gate.size(); i++) {
      const double x = g.gate[i], u = of.u(x), s = sigmoidOf(u), size = std::abs(x * s);
      dgate.push_back(gateBound(x, gateSlope(of, x, s + size * sigmoidOf(-u) * of.slope(x)), double{g.dy[i]} * g.up[i]));
      dup.push_back(gateBound(x, gateSlope(of, x, size), g.dy[i]));
    }
    check(label, g.grad(), {dgate, dup});
  });
  Random random(4);
  Gate g(of, random, 9);
  g.gate = random.grid(9), g.up = random.grid(9);
  const Outputs gradients = define(g.grad());
  const auto loss = [&](Floats Gate::*input) {
    return [&g, input](const Floats& x) {
      Gate moved = g;
      moved.*input = x;
      return weigh(moved.forward(), 0, g.dy);
    };
  };
  checkGradient("dgate", g.gate, loss(&Gate::gate), gradients[0].values());
  checkGradient("dup", g.up, loss(&Gate::up), gradients[1].values());
}

TEST(swiGlu) { checkGates(silu); }
TEST(swiGluGrad) { checkGateGradients(silu); }
TEST(geGlu) { checkGates(gelu); }
TEST(geGluGrad) { checkGateGradients(gelu); }

TEST(rotary) {
  Random random;
  for (const double sign : {1.0, -1.0}) {
    for (const int64_t D : {2, 4, 6, 30, 32, 34, 64, 100, 128})
      for (const int64_t Bt : {1, 3}) {
        const Rotation r(random, 3, 5, 2, D, Bt, sign);
        check(r.name(), r.call(), {rotaryBound(r)}, {Across::ALL});
      }
    for (const int64_t T : {0, 1, 17}) {
      const Rotation r(random, 2, T, 3, 16, 1, sign);
      check(r.name(), r.call(), {rotaryBound(r)}, {Across::ALL});
    }
  }
  Rotation large(random, 5, 250, 9, 64, 5, 1);
  large.x[5] = NOT_A_NUMBER, large.x[100] = 1e4f;
  check("shared among threads", large.call(), {rotaryBound(large)}, {Across::ALL});

  // The opposite angle is the gradient.
  Rotation r(random, 2, 3, 1, 4, 1, 1);
  const Floats dy = r.x;
  r.x = random.grid(int64_t(r.x.size()));
  Rotation back = r;
  back.x = dy, back.sign = -1;
  const auto loss = [&](const Floats& x) {
    Rotation moved = r;
    moved.x = x;
    return weigh(moved.call(), 0, dy);
  };
  checkGradient("dx", r.x, loss, define(back.call())[0].values());
}

TEST(embeddingLookup) {
  Random random;
  const auto one = [&](int64_t N, int64_t d, int64_t V) {
    Floats table = random.normals(V * d);
    table[0] = NOT_A_NUMBER, table.back() = -0.0f;
    Ints ids = random.ids(N, V);
    if (N > 1) ids[0] = 0, ids[1] = int32_t(V - 1);
    check(text("N=%d d=%d V=%d", int(N), int(d), int(V)), {"embeddingLookup", {table, ids, Out{N * d}}, {double(N), double(d), double(V)}}, {},
          {Across::ALL});
  };
  for (const int64_t d : awkward)
    for (const int64_t N : {0, 1, 2, 33}) one(N, d, 19);
  one(2000, 300, 7);
}

TEST(embeddingLookupGrad) {
  Random random;
  const auto call = [](const Floats& dy, const Ints& ids, int64_t d, int64_t V) {
    return Call{"embeddingLookupGrad", {dy, ids, Out{V * d}}, {double(ids.size()), double(d), double(V)}};
  };
  const auto one = [&](int64_t N, int64_t d, int64_t V) {
    Floats dy = random.normals(N * d);
    const Ints ids = random.ids(N, V);
    const Doubles bound = boundBy(call(absolute(dy), ids, d, V), 8 * EPS);
    if (N > 30) dy[7] = NOT_A_NUMBER;
    check(text("N=%d d=%d V=%d", int(N), int(d), int(V)), call(dy, ids, d, V), {bound}, {Across::ALL});
  };
  for (const int64_t d : awkward)
    for (const int64_t N : {0, 1, 2, 33}) one(N, d, 19);
  one(100, 5, 1);
  one(1, 5, 100);
  one(0, 5, 0);
  one(3000, 100, 4000);

  Ints ids = {2, 0, 2};
  const Floats table = random.grid(4 * 3), dy = random.normals(3 * 3);
  const auto loss = [&](const Floats& x) { return weigh({"embeddingLookup", {x, ids, Out{9}}, {3, 3, 4}}, 0, dy); };
  checkGradient("dtable", table, loss, define(call(dy, ids, 3, 4))[0].values());
}

TEST(adamW) {
  Random random;
  const auto one = [&](const std::string& label, int64_t n, double step, double weightDecay = 0.1, float special = 0) {
    const double rate = 1e-3, beta1 = 0.9, beta2 = 0.999, eps = 1e-8;
    Floats parameter = random.normals(n), gradient = random.normals(n), m = random.normals(n), v = absolute(random.normals(n));
    if (step == 1) m.assign(size_t(n), 0), v.assign(size_t(n), 0);
    if (special != 0) gradient[1] = special;
    Doubles parameterBound, mBound, vBound;
    for (size_t i = 0; i < size_t(n); i++) {
      const double g = std::abs(double{gradient[i]}), mean = beta1 * std::abs(double{m[i]}) + (1 - beta1) * g;
      const double square = beta2 * v[i] + (1 - beta2) * g * g;
      const double update = rate / (1 - std::pow(beta1, step)) * mean / (std::sqrt(square / (1 - std::pow(beta2, step))) + eps);
      parameterBound.push_back(8 * EPS * (std::abs(double{parameter[i]}) + update));
      mBound.push_back(4 * EPS * mean);
      vBound.push_back(4 * EPS * square + TINY);
    }
    const Doubles numbers = {double(n), rate, beta1, beta2, eps, weightDecay, step};
    const Call apart{"adamW", {parameter, gradient, m, v, Out{n}, Out{n}, Out{n}}, numbers};
    check(label, apart, {parameterBound, mBound, vBound}, {Across::ALL});
    const auto apartRuns = runAll(apart), inPlaceRuns = runAll({"adamW", {parameter, gradient, m, v, Out{n, Kind::FLOAT, 0}, Out{n, Kind::FLOAT, 2}, Out{n, Kind::FLOAT, 3}}, numbers});
    for (int output = 0; output < 3; output++) checkSameBits(label + " in place", apartRuns, {output, 0, n}, inPlaceRuns, {output, 0, n});
  };
  for (const int64_t n : awkward) one(text("n=%d", int(n)), n, 1 + double(n));
  one("n=0", 0, 3);
  one("the first step", 33, 1);
  one("a late step", 33, 1e6);
  one("no decay", 33, 5, 0);
  one("a NaN", 33, 5, 0.1, NOT_A_NUMBER);
  one("a large gradient", 33, 5, 0.1, 1e4f);
  one("a small gradient", 33, 5, 0.1, 1e-20f);
  one("shared among threads", 200003, 7);
}

TEST(sumSquares) {
  Random random;
  const auto one = [&](const std::string& label, const Floats& x) {
    const Call call{"sumSquares", {x, Out{1, Kind::DOUBLE}}, {double(x.size())}};
    // The definition adds one by one.
    check(label + text(" n=%d", int(x.size())), call, {scaled(define(call)[0].values(), (64 + 4 * std::sqrt(double(x.size()))) * 0x1p-53)}, {Across::ALL});
  };
  for (const int64_t n : awkward) one("normal", random.normals(n));
  for (const int64_t n : {0, 16383, 16384, 16385, 32769, 1000003}) one("chunks", random.normals(n));
  Floats x = random.normals(100);
  x[3] = 1e30f, x[99] = 1e-30f;
  one("large", x);
  x[97] = NOT_A_NUMBER;
  one("NaN", x);
}
