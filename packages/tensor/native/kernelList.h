// Every kernel by name: a new one is its file in ops/, one #include in kernels.cc and one line here.
#define KERNELS(X) \
  X(packMatrix) X(matMul) X(batchMatMul) \
  X(headLogProb) X(headLogProbGrad) X(headMixture) X(headMixtureGrad) \
  X(rmsNorm) X(rmsNormGrad) X(swiGlu) X(swiGluGrad) X(geGlu) X(geGluGrad) X(rotary) X(embeddingLookup) X(embeddingLookupGrad) X(adamW) X(sumSquares) \
  X(attention) X(attentionGrad) X(prefixAttention) X(prefixAttentionGrad) \
  X(add) X(subtract) X(multiplyElements) X(divide) X(negate) X(square) X(exponential) X(sigmoid) X(squareRoot) \
  X(reciprocalSquareRoot) X(sumRows) X(maxRows) X(sumMiddle) X(softmaxRows) X(argMaxRows) X(cumsumRows) X(copyBlocks) X(transpose) \
  X(minimum) X(lessEqual) X(sumIntegers) X(floatToInteger) X(fill) X(padBlocks) X(uniformNoise) X(normalNoise) \
  X(multiplyAdds)

struct Kernel {
  const char* name;
  void (*run)(void* const* arrays, const double* numbers);
};

// The tables of this architecture, by instruction set (kernels.cc).
#define TABLE(isa) namespace isa { extern const Kernel table[]; }
#if defined(__x86_64__)
TABLE(generic)
TABLE(avx2)
TABLE(avx512)
#elif defined(__aarch64__)
TABLE(neon)
#else
TABLE(generic)
#endif
#undef TABLE
