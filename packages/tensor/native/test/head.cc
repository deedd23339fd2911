// Log-probabilities and mixtures. Bounds: a relative error of the probabilities, times the sums of absolute terms.
#include "check.h"

using namespace test;

namespace {

/** The inputs of the four kernels, and the calls on some of the rows. */
struct Head {
  int64_t N, d, V, e;
  double temperature;
  int64_t C = 64;
  Form form = TRANSPOSED;
  bool wantsW = true, wantsE = true;
  Floats hidden, W, E, dy, dm;
  Ints ids;

  Head(Random& random, int64_t N, int64_t d, int64_t V, int64_t e, double temperature)
      : N(N), d(d), V(V), e(e), temperature(temperature), hidden(random.normals(N * d)), W(random.normals(V * d)), E(random.normals(V * e)),
        dy(random.normals(N)), dm(random.normals(N * e)), ids(random.ids(N, V)) {}

  Ints idsOf(int64_t from, int64_t rows) const { return {ids.begin() + from, ids.begin() + from + rows}; }
  /** n rows by chunks of C. */
  Doubles sizes(int64_t n) const { return {double(n), double(d), double(V), double(e), double(C), double(S()), temperature, double(form)}; }
  /** The same for a gradient. */
  Doubles gradSizes(int64_t n) const {
    return {double(n), double(d), double(V), double(e), double(C), double(S()), temperature, double(wantsW), double(wantsE)};
  }
  int64_t S() const { return V + 5; }
  Scratch scratch(int64_t copies = 1) const { return {copies * C * S()}; }
  /** W, transposed [V, d], or packed. */
  Floats w() const {
    if (form == TRANSPOSED) return W;
    return inForm(inForm(W, V, d, TRANSPOSED), d, V, form);
  }

  Call logProb(int64_t from, int64_t n) const {
    return {"headLogProb", {rowsOf(hidden, d, from, n), w(), idsOf(from, n), scratch(), Out{n}}, sizes(n)};
  }
  Call logProbGrad(int64_t from, int64_t n) const {
    return {"headLogProbGrad",
            {rowsOf(dy, 1, from, n), rowsOf(hidden, d, from, n), W, idsOf(from, n), scratch(), Out{n * d}, Out{wantsW ? V * d : 0}},
            gradSizes(n)};
  }
  Call mixture(int64_t from, int64_t n) const {
    return {"headMixture", {rowsOf(hidden, d, from, n), w(), E, scratch(), Out{n * e}}, sizes(n)};
  }
  Call mixtureGrad(int64_t from, int64_t n) const {
    return {"headMixtureGrad",
            {rowsOf(dm, e, from, n), rowsOf(hidden, d, from, n), W, E, scratch(2), Out{n * d}, Out{wantsW ? V * d : 0}, Out{wantsE ? V * e : 0}},
            gradSizes(n)};
  }
};

/** The bounds of all outputs. */
struct HeadBounds {
  Doubles y, dhidden, dW, mixture, mixtureDhidden, mixtureDW, dE;

  /** `exact`: the logits are small integers, which float32 sums without rounding. */
  HeadBounds(const Head& h, bool exact) {
    y.assign(size_t(h.N), 0), dhidden.assign(size_t(h.N * h.d), 0), dW.assign(size_t(h.V * h.d), 0);
    mixture.assign(size_t(h.N * h.e), 0), mixtureDhidden = dhidden, mixtureDW = dW, dE.assign(size_t(h.V * h.e), 0);
    const double tau = h.temperature;
    Doubles p(static_cast<size_t>(h.V));
    for (int64_t n = 0; n < h.N; n++) {
      // Logits and the greatest sum of absolute terms among them; from finite logits only.
      double top = -double{INF}, terms = 0, total = 0;
      for (int64_t v = 0; v < h.V; v++) {
        double z = 0, sum = 0;
        for (int64_t i = 0; i < h.d; i++) {
          const double term = double{h.W[size_t(v * h.d + i)]} * h.hidden[size_t(n * h.d + i)];
          z += term, sum += std::abs(term);
        }
        p[size_t(v)] = z;
        top = std::max(top, z);
        if (std::isfinite(sum)) terms = std::max(terms, sum);
      }
      const double gap = (p[size_t(h.ids[size_t(n)])] - top) / tau;
      for (double& x : p) total += x = std::exp((x - top) / tau);
      // Of an exponential: the logits' rounding over τ, that of the gap (where e^gap is not zero) and some of its own.
      const double relative = (exact ? 128 : 16 * terms / tau + 64) * EPS;
      const double chain = relative + std::sqrt(double(h.V)) * EPS;  // of a sum over the vocabulary
      y[size_t(n)] = relative + 8 * EPS * (std::isfinite(gap) ? std::abs(gap) + std::log(total) : 0);
      double slopes = 0;  // Σ_v p_v Σ_i |dm_i E_vi|
      Doubles slope(static_cast<size_t>(h.V));
      for (int64_t v = 0; v < h.V; v++) {
        double& x = p[size_t(v)];
        x = x / total + TINY;
        for (int64_t i = 0; i < h.e; i++) {
          slope[size_t(v)] += std::abs(double{h.dm[size_t(n * h.e + i)]} * h.E[size_t(v * h.e + i)]);
          mixture[size_t(n * h.e + i)] += chain * x * std::abs(h.E[size_t(v * h.e + i)]);
          dE[size_t(v * h.e + i)] += relative * x * std::abs(h.dm[size_t(n * h.e + i)]);
        }
        slopes += x * slope[size_t(v)];
      }
      for (int64_t v = 0; v < h.V; v++) {
        const double dz = std::abs(h.dy[size_t(n)]) / tau * (p[size_t(v)] + (v == h.ids[size_t(n)] ? 1 : 0));
        const double mixtureDz = p[size_t(v)] * (slope[size_t(v)] + slopes) / tau;
        for (int64_t i = 0; i < h.d; i++) {
          dhidden[size_t(n * h.d + i)] += chain * dz * std::abs(h.W[size_t(v * h.d + i)]);
          dW[size_t(v * h.d + i)] += relative * dz * std::abs(h.hidden[size_t(n * h.d + i)]);
          mixtureDhidden[size_t(n * h.d + i)] += chain * mixtureDz * std::abs(h.W[size_t(v * h.d + i)]);
          mixtureDW[size_t(v * h.d + i)] += relative * mixtureDz * std::abs(h.hidden[size_t(n * h.d + i)]);
        }
      }
    }
  }
};

/** f(label, head, bounds) for all that the kernels are checked on. `grad`: of gradients, which finite logits have. */
void forHeads(bool grad, const std::function<void(const std::string&, const Head&, const HeadBounds&)>& f) {
  Random random;
  const auto one = [&](const std::string& label, const Head& h, bool exact = false) {
    f(label + text(" N=%d d=%d V=%d e=%d τ=%g C=%d", int(h.N), int(h.d), int(h.V), int(h.e), h.temperature, int(h.C)), h, HeadBounds(h, exact));
  };
  for (const int64_t V : awkward)
    for (const int64_t N : {1, 2, 17, 65}) one("normal", Head(random, N, N % 3 == 0 ? 33 : 5, V, N % 2 == 0 ? 17 : 3, 0.7));
  for (const int64_t d : {1, 16, 31, 100, 300}) one("normal", Head(random, 3, d, 1000, d, 1));
  one("no rows", Head(random, 0, 3, 17, 2, 1));
  one("cold", Head(random, 5, 7, 100, 3, 1e-4));
  one("hot", Head(random, 5, 7, 100, 3, 1e4));
  one("shared among threads", Head(random, 66, 40, 2001, 24, 1));
  one("more of them", Head(random, 33, 100, 3001, 50, 1));
  one("a large vocabulary", Head(random, 3, 2, 1 << 18, 3, 1));
  for (const int64_t C : {1, 7, 65}) {
    Head h(random, 65, 33, 100, 20, 1);
    h.C = C;
    one("chunks", h);
    h.form = PACKED;
    one("chunks, packed", h);
  }

  for (const double temperature : {1.0, 1e-4}) {
    Head h(random, 9, 3, 100, 2, temperature);
    h.hidden = random.integers(9 * 3, 30);
    h.W = random.integers(100 * 3, 111);  // logits to ±1e4
    one("logits of 1e4", h, true);
    for (int64_t i = 0; i < 3; i++) h.W[size_t(99 * 3 + i)] = h.W[size_t(97 * 3 + i)];  // a tie
    h.ids[0] = 99;
    one("a tie", h, true);
    std::fill(h.hidden.begin(), h.hidden.end(), 0.0f);
    one("all alike", h, true);
  }
  Head h(random, 4, 3, 33, 2, 1);
  h.hidden[1 * 3 + 2] = NOT_A_NUMBER;
  if (!grad) {
    one("a NaN in row 1", h);
    h = Head(random, 4, 3, 33, 2, 1);
    h.hidden = absolute(h.hidden);
    h.W[7 * 3 + 1] = h.W[32 * 3 + 1] = -INF;  // masked ids, of which one is asked for
    h.ids[2] = 32;
    one("logits of -Infinity", h);
    std::fill(h.W.begin(), h.W.end(), -INF);
    one("nothing but -Infinity", h);
    return;
  }
  // The gradient of that row is NaN, and so is dW; the other rows are not.
  HeadBounds bounds(h, false);
  f("a NaN in row 1", h, bounds);
}

/** Inputs on the grid, for differences. */
Head smooth(Random& random) {
  Head h(random, 3, 4, 7, 2, 0.75);
  h.hidden = random.grid(3 * 4), h.W = random.grid(7 * 4), h.E = random.grid(7 * 2);
  return h;
}

/** loss of the forward call as a function of one of the inputs. */
std::function<double(const Floats&)> lossOf(const Head& h, Floats Head::*input, Call (Head::*forward)(int64_t, int64_t) const, const Floats& weights) {
  return [=](const Floats& x) {
    Head moved = h;
    moved.*input = x;
    return weigh((moved.*forward)(0, h.N), 0, weights);
  };
}

/** Row n alone, and rows n.. as a batch of 3, give the bits of the whole batch. */
void checkRows(Call (Head::*call)(int64_t, int64_t) const, int64_t width(const Head&)) {
  Random random(5);
  const Head h(random, 67, 33, 500, 20, 0.9);
  const auto whole = runAll((h.*call)(0, h.N));
  for (const int64_t n : {0, 13, 64})
    for (const int64_t rows : {1, 3})
      checkSameBits(text("row %d among %d", int(n), int(rows)), whole, {0, n * width(h), rows * width(h)}, runAll((h.*call)(n, rows)),
                    {0, 0, rows * width(h)});
}

}  // namespace

TEST(headLogProb) {
  forHeads(false, [](const std::string& label, const Head& h, const HeadBounds& bounds) { check(label, h.logProb(0, h.N), {bounds.y}); });
  checkRows(&Head::logProb, [](const Head&) { return int64_t{1}; });
}

namespace {

/** Without the gradients of frozen weights the others have the same bits. */
template <class Grad>
void checkFrozen(const Head& h, Grad grad) {
  const auto all = runAll((h.*grad)(0, h.N));
  for (const bool wantsW : {false, true}) {
    Head frozen = h;
    frozen.wantsW = wantsW, frozen.wantsE = !wantsW;
    const auto some = runAll((frozen.*grad)(0, h.N));
    checkSameBits("dhidden, weights frozen", all, {0, 0, h.N * h.d}, some, {0, 0, h.N * h.d});
    if (wantsW) checkSameBits("dW, E frozen", all, {1, 0, h.V * h.d}, some, {1, 0, h.V * h.d});
    else if (all.front().size() > 2) checkSameBits("dE, W frozen", all, {2, 0, h.V * h.e}, some, {2, 0, h.V * h.e});
  }
}

}  // namespace

TEST(headLogProbGrad) {
  forHeads(true, [](const std::string& label, const Head& h, const HeadBounds& bounds) {
    check(label, h.logProbGrad(0, h.N), {bounds.dhidden, bounds.dW});
  });
  checkRows(&Head::logProbGrad, [](const Head& h) { return h.d; });
  Random random(6);
  checkFrozen(Head(random, 70, 17, 33, 9, 0.7), &Head::logProbGrad);
  const Head h = smooth(random);
  const Outputs gradients = define(h.logProbGrad(0, h.N));
  checkGradient("dhidden", h.hidden, lossOf(h, &Head::hidden, &Head::logProb, h.dy), gradients[0].values());
  checkGradient("dW", h.W, lossOf(h, &Head::W, &Head::logProb, h.dy), gradients[1].values());
}

TEST(headMixture) {
  forHeads(false, [](const std::string& label, const Head& h, const HeadBounds& bounds) { check(label, h.mixture(0, h.N), {bounds.mixture}); });
  checkRows(&Head::mixture, [](const Head& h) { return h.e; });
}

TEST(headMixtureGrad) {
  forHeads(true, [](const std::string& label, const Head& h, const HeadBounds& bounds) {
    check(label, h.mixtureGrad(0, h.N), {bounds.mixtureDhidden, bounds.mixtureDW, bounds.dE});
  });
  checkRows(&Head::mixtureGrad, [](const Head& h) { return h.d; });
  Random random(7);
  checkFrozen(Head(random, 70, 17, 33, 9, 0.7), &Head::mixtureGrad);
  const Head h = smooth(random);
  const Outputs gradients = define(h.mixtureGrad(0, h.N));
  checkGradient("dhidden", h.hidden, lossOf(h, &Head::hidden, &Head::mixture, h.dm), gradients[0].values());
  checkGradient("dW", h.W, lossOf(h, &Head::W, &Head::mixture, h.dm), gradients[1].values());
  checkGradient("dE", h.E, lossOf(h, &Head::E, &Head::mixture, h.dm), gradients[2].values());
}
