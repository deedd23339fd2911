// The kernels as functions of JavaScript: kernels[name](arrays, numbers), on typed arrays in place. Chooses the instruction
// set of this machine once. Nothing is kept between calls but the threads, so every environment may load it.
#include <napi.h>

#include <cstdint>
#include <exception>
#if defined(__GLIBC__)
#include <malloc.h>
#endif
#include <string>

#include "kernelList.h"
#include "memory.h"
#include "parallel.h"

namespace {

struct InstructionSet {
  const char* name;
  const Kernel* table;
};

InstructionSet instructionSet() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512vl"))
    return {"avx512", avx512::table};
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return {"avx2", avx2::table};
  return {"generic", generic::table};
#elif defined(__aarch64__)
  return {"neon", neon::table};
#else
  return {"generic", generic::table};
#endif
}

constexpr uint32_t MOST_ARRAYS = 16;
constexpr uint32_t MOST_NUMBERS = 32;

/** The memory of a typed array; nullptr for anything else. */
void* memoryOf(napi_env env, napi_value value) {
  bool isTypedArray = false;
  if (napi_is_typedarray(env, value, &isTypedArray) != napi_ok || !isTypedArray) return nullptr;
  napi_typedarray_type type;
  size_t length = 0, offset = 0;
  void* data = nullptr;
  napi_value buffer;
  napi_get_typedarray_info(env, value, &type, &length, &data, &buffer, &offset);
  static double nothing = 0;  // an empty array may have no memory
  return data == nullptr ? &nothing : data;
}

/** Throws `kernel: expected `what` in `list`, got something else at its index`. Only a wrapper of ours can be wrong. */
Napi::Value refuse(Napi::Env env, const Kernel* kernel, const char* what, const char* list, uint32_t index) {
  Napi::TypeError::New(env, std::string(kernel->name) + ": expected " + what + " at " + list + "[" + std::to_string(index) + "], got something else; see native/ops").ThrowAsJavaScriptException();
  return env.Undefined();
}

Napi::Value run(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto* kernel = static_cast<const Kernel*>(info.Data());
  void* arrays[MOST_ARRAYS];
  double numbers[MOST_NUMBERS];
  uint32_t arrayCount = 0, numberCount = 0;
  napi_get_array_length(env, info[0], &arrayCount);
  napi_get_array_length(env, info[1], &numberCount);
  if (arrayCount == 0 || arrayCount > MOST_ARRAYS || numberCount > MOST_NUMBERS) {
    Napi::RangeError::New(env, std::string(kernel->name) + ": expected 1 to " + std::to_string(MOST_ARRAYS) + " arrays and at most " + std::to_string(MOST_NUMBERS) +
                                   " numbers, got " + std::to_string(arrayCount) + " and " + std::to_string(numberCount) + "; see native/ops").ThrowAsJavaScriptException();
    return env.Undefined();
  }
  for (uint32_t i = 0; i < arrayCount; i++) {
    napi_value value;
    napi_get_element(env, info[0], i, &value);
    arrays[i] = memoryOf(env, value);
    if (arrays[i] == nullptr) return refuse(env, kernel, "a typed array", "arrays", i);
  }
  for (uint32_t i = 0; i < numberCount; i++) {
    napi_value value;
    napi_get_element(env, info[1], i, &value);
    if (napi_get_value_double(env, value, &numbers[i]) != napi_ok) return refuse(env, kernel, "a number", "numbers", i);
  }
  try {
    kernel->run(arrays, numbers);
  } catch (const std::exception& error) {  // no memory for a scratch, mostly
    Napi::Error::New(env, std::string(kernel->name) + ": expected memory to compute in, got " + error.what() + "; take smaller micro-batches").ThrowAsJavaScriptException();
  }
  return env.Undefined();
}

/** allocate(bytes): an ArrayBuffer of any content; undefined where the runtime allows no memory from outside. */
Napi::Value allocate(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto bytes = static_cast<size_t>(info[0].As<Napi::Number>().Int64Value());
  auto* block = new Block(bytes);
  if (block->values() == nullptr) {
    delete block;
    Napi::RangeError::New(env, "native: expected memory for a tensor of " + std::to_string(bytes) + " bytes, got none; take smaller micro-batches").ThrowAsJavaScriptException();
    return env.Undefined();
  }
  napi_value buffer;
  const napi_status status = napi_create_external_arraybuffer(
      env, block->values(), bytes, [](napi_env, void*, void* hint) { delete static_cast<Block*>(hint); }, block, &buffer);
  if (status != napi_ok) {
    delete block;
    return env.Undefined();
  }
  return Napi::Value(env, buffer);
}

/** free(buffer): gives the memory of a buffer made by `allocate` back at once; the buffer is empty from then on. */
Napi::Value freeBuffer(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  void* data = nullptr;
  size_t bytes = 0;
  if (napi_get_arraybuffer_info(env, info[0], &data, &bytes) != napi_ok || bytes == 0) return env.Undefined();
  Memory memory = Block::of(data)->take();  // the finaliser, which detaching may run, finds none
  if (napi_detach_arraybuffer(env, info[0]) == napi_ok)
    memory.release();
  else
    Block::of(data)->put(memory);
  return env.Undefined();
}

Napi::Object initialize(Napi::Env env, Napi::Object exports) {
  static const InstructionSet chosen = instructionSet();
#if defined(__GLIBC__)
  // Or the first large array that is freed makes glibc keep all others: weights that were read, and then trained.
  mallopt(M_MMAP_THRESHOLD, 1 << 20);
#endif
  Napi::Object kernels = Napi::Object::New(env);
  for (const Kernel* kernel = chosen.table; kernel->name != nullptr; kernel++)
    kernels.Set(kernel->name, Napi::Function::New(env, run, kernel->name, const_cast<Kernel*>(kernel)));
  exports.Set("kernels", kernels);
  exports.Set("instructionSet", Napi::String::New(env, chosen.name));
  exports.Set("allocate", Napi::Function::New(env, allocate, "allocate"));
  exports.Set("free", Napi::Function::New(env, freeBuffer, "free"));
  exports.Set("threads", Napi::Function::New(env, [](const Napi::CallbackInfo& info) -> Napi::Value {
                return Napi::Number::New(info.Env(), threadCount());
              }));
  exports.Set("setThreads", Napi::Function::New(env, [](const Napi::CallbackInfo& info) -> Napi::Value {
                setThreadCount(info[0].As<Napi::Number>().Int32Value());
                return info.Env().Undefined();
              }));
  return exports;
}

}  // namespace

NODE_API_MODULE(soft_tokens, initialize)
