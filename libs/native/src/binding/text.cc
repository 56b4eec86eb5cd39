#include "binding/text.h"

#include <algorithm>
#include <cmath>
#include <span>
#include <string>

#include "binding/convert.h"
#include "text/float_text.h"
#include "text/short_decimal.h"

namespace interleave::binding {
namespace {

template <typename Array>
Array TypedOf(const Napi::Value& value, napi_typedarray_type type, const char* what, const char* name) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != type) {
    ThrowExpected(value.Env(), what, name);
  }
  return value.As<Array>();
}

}  // namespace

Napi::Value ShortenFloats(const Napi::CallbackInfo& info) {
  auto values = TypedOf<Napi::Float32Array>(info[0], napi_float32_array, "a Float32Array", "values");
  auto target = TypedOf<Napi::Float64Array>(info[1], napi_float64_array, "a Float64Array", "target");
  const std::size_t count = values.ElementLength();
  if (target.ElementLength() != count) ThrowExpected(info.Env(), "as many numbers as values", "target");
  std::transform(values.Data(), values.Data() + count, target.Data(),
                 [](float value) { return std::isfinite(value) ? ShortDoubleOf(value) : value; });
  return info.Env().Undefined();
}

Napi::Value WriteFloats(const Napi::CallbackInfo& info) {
  auto values = TypedOf<Napi::Float32Array>(info[0], napi_float32_array, "a Float32Array", "values");
  auto target = TypedOf<Napi::Uint8Array>(info[1], napi_uint8_array, "a Uint8Array", "target");
  const std::size_t at = IntegerOf(info[2], "at", static_cast<double>(target.ByteLength()));
  const std::size_t count = values.ElementLength();
  if ((target.ByteLength() - at) / kNumberCharactersMax < count + 1) {
    ThrowExpected(info.Env(), "room for all numbers", "target");
  }
  char* const begin = reinterpret_cast<char*>(target.Data());
  const char* const end = WriteNumbers({values.Data(), count}, begin + at);
  return Napi::Number::New(info.Env(), static_cast<double>(end - begin));
}

Napi::Value DoublesText(const Napi::CallbackInfo& info) {
  if (!info[0].IsTypedArray()) ThrowExpected(info.Env(), "a Float32Array or a Float64Array", "values");
  std::string text;
  bool isFinite = false;
  if (info[0].As<Napi::TypedArray>().TypedArrayType() == napi_float32_array) {
    const auto values = info[0].As<Napi::Float32Array>();
    isFinite = interleave::DoublesText(std::span<const float>(values.Data(), values.ElementLength()), text);
  } else {
    const auto values =
        TypedOf<Napi::Float64Array>(info[0], napi_float64_array, "a Float32Array or a Float64Array", "values");
    isFinite = interleave::DoublesText(std::span<const double>(values.Data(), values.ElementLength()), text);
  }
  if (!isFinite) return info.Env().Null();
  // All of it is ASCII.
  napi_value string = nullptr;
  if (napi_create_string_latin1(info.Env(), text.data(), text.size(), &string) != napi_ok) {
    throw Napi::RangeError::New(info.Env(), "the text of these numbers is longer than a string can be");
  }
  return Napi::Value(info.Env(), string);
}

}  // namespace interleave::binding
