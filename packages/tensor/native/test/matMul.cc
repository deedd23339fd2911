#include "check.h"

using namespace test;

namespace {

int64_t packedSize(int64_t K, int64_t N) { return (N + 31) / 32 * 32 * K; }

/** b: [K, N], given to the kernel in one of its forms. */
Call product(const Floats& a, const Floats& b, int64_t M, int64_t N, int64_t K, bool transposeA, Form form) {
  return {"matMul", {a, inForm(b, K, N, form), Out{M * N}}, {double(M), double(N), double(K), double(transposeA), double(form)}};
}

/**
 * Chains of at most 288 roundings and of K / 288: they average out in sums of random signs, and add up to their roots where all
 * signs are the same.
 */
double chain(int64_t K) { return 4 + std::sqrt(double(std::min<int64_t>(K, 288))) + std::sqrt(double(K) / 288); }

void checkProduct(const std::string& label, const Floats& a, const Floats& b, int64_t M, int64_t N, int64_t K, bool transposeA = false,
                  Form form = PLAIN) {
  check(label + text(" M=%d N=%d K=%d form %d%s", int(M), int(N), int(K), form, transposeA ? " aT" : ""), product(a, b, M, N, K, transposeA, form),
        {boundBy(product(absolute(a), absolute(b), M, N, K, transposeA, PLAIN), chain(K) * EPS)}, {Across::FUSED});
}

}  // namespace

TEST(packMatrix) {
  Random random;
  const auto one = [&](int64_t K, int64_t N, bool transposed) {
    Floats b = random.normals(K * N);
    if (K * N > 2) b[0] = NOT_A_NUMBER, b[1] = -INF, b[2] = -0.0f;
    check(text("K=%d N=%d transposed=%d", int(K), int(N), transposed), {"packMatrix", {b, Out{packedSize(K, N)}}, {double(K), double(N), double(transposed)}},
          {}, {Across::ALL});
  };
  for (const bool transposed : {false, true}) {
    for (const int64_t K : awkward)
      for (const int64_t N : awkward) one(K, N, transposed);
    one(0, 5, transposed);
    one(5, 0, transposed);
    one(1003, 2001, transposed);
  }
}

TEST(matMul) {
  Random random;
  const auto one = [&](int64_t M, int64_t N, int64_t K, bool transposeA, Form form) {
    checkProduct("normal", random.normals(M * K), random.normals(K * N), M, N, K, transposeA, form);
  };
  for (const Form form : {PLAIN, TRANSPOSED, PACKED}) {
    for (const int64_t M : {1, 2, 3, 12, 13, 25, 33})
      for (const int64_t N : {1, 2, 15, 17, 31, 32, 33})
        for (const int64_t K : {1, 2, 3, 16, 33}) one(M, N, K, (M + N + K) % 2 == 0, form);
    for (const bool transposeA : {false, true}) {
      for (const int64_t K : {255, 256, 257, 287, 288, 289, 577}) one(13, 33, K, transposeA, form);  // blocks of k
      for (const int64_t M : {191, 383, 384, 385, 769}) one(M, 40, 19, transposeA, form);            // blocks of rows
      one(1, 257, 1000, transposeA, form);
      one(1, 1, 4096, transposeA, form);
      one(1, 4096, 1, transposeA, form);
      one(257, 1, 100, transposeA, form);
      one(1, 2049, 1031, transposeA, form);  // shared by panels
      one(385, 257, 300, transposeA, form);
      for (const int64_t zero : {0, 1, 2}) one(zero == 0 ? 0 : 5, zero == 1 ? 0 : 33, zero == 2 ? 0 : 3, transposeA, form);
    }
  }

  Floats large = random.normals(33 * 100, 1e4);
  checkProduct("large", large, random.normals(100 * 33, 1e4), 33, 33, 100);
  checkProduct("alike", absolute(random.normals(33 * 1000)), absolute(random.normals(1000 * 17)), 33, 17, 1000);
  const int64_t depth = 200 * 288;
  Floats small(depth, 0x1p-25f);  // each lost beside the first, but not a block of them
  for (int i = 0; i < 288; i++) small[size_t(i)] = i == 0 ? 1 : 0;
  checkProduct("small terms", Floats(depth, 1.0f), small, 1, 1, depth);
  large[3 * 100 + 7] = NOT_A_NUMBER;  // row 3 is NaN, row 5 infinite, the rest not
  large[5 * 100 + 99] = INF;
  for (const Form form : {PLAIN, TRANSPOSED, PACKED}) checkProduct("NaN and infinity", large, random.normals(100 * 35), 33, 35, 100, false, form);

  // A row of c does not depend on those beside it, nor on how b lies.
  const int64_t N = 257, K = 700;
  const Floats a = random.normals(400 * K), b = random.normals(K * N);
  const auto whole = runAll(product(a, b, 400, N, K, false, PLAIN));
  for (const Form form : {PLAIN, TRANSPOSED, PACKED})
    for (const int64_t M : {1, 3, 65})
      for (const int64_t m : {int64_t{0}, int64_t{7}, 400 - M})
        checkSameBits(text("rows %d.. of 400 among %d, form %d", int(m), int(M), form), whole, {0, m * N, M * N},
                      runAll(product(rowsOf(a, K, m, M), b, M, N, K, false, form)), {0, 0, M * N});
}

TEST(batchMatMul) {
  Random random;
  const auto one = [&](int64_t batch, int64_t batchA, int64_t batchB, int64_t M, int64_t N, int64_t K, int transposes) {
    const Floats a = random.normals(batchA * M * K), b = random.normals(batchB * K * N);
    const Doubles numbers = {double(batch), double(batchA), double(batchB), double(M), double(N), double(K), double(transposes & 1), double(transposes >> 1)};
    const auto call = [&](const Floats& left, const Floats& right) { return Call{"batchMatMul", {left, right, Out{batch * M * N}}, numbers}; };
    check(text("batch=%d (%d, %d) M=%d N=%d K=%d transposes=%d", int(batch), int(batchA), int(batchB), int(M), int(N), int(K), transposes),
          call(a, b), {boundBy(call(absolute(a), absolute(b)), chain(K) * EPS)}, {Across::FUSED});
  };
  for (int transposes = 0; transposes < 4; transposes++) {
    for (const int64_t M : {1, 3, 17, 33})
      for (const int64_t N : {1, 15, 33, 64})
        for (const int64_t K : {1, 2, 31, 257}) one(1, 1, 1, M, N, K, transposes);
    one(3, 3, 3, 5, 33, 17, transposes);
    one(3, 1, 3, 5, 33, 17, transposes);
    one(3, 3, 1, 5, 33, 17, transposes);
    one(2, 2, 2, 3, 4, 0, transposes);
    one(0, 0, 1, 3, 4, 5, transposes);
    one(2, 2, 2, 0, 4, 5, transposes);
    for (const int64_t batchB : {1, 13}) one(13, batchB == 1 ? 13 : 1, batchB, 65, 70, 100, transposes);  // shared by the batch
    one(1, 1, 1, 193, 257, 300, transposes);
  }
}
