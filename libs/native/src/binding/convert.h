// Reading arguments and making errors; shared by the functions of the addon.
#pragma once

#include <napi.h>

#include <cstdint>
#include <limits>
#include <string>

namespace interleave::binding {

// Throws a JS TypeError "expected <what> for <name>".
[[noreturn]] inline void ThrowExpected(Napi::Env env, const char* what, const std::string& name) {
  throw Napi::TypeError::New(env, std::string("expected ") + what + " for " + name);
}

inline Napi::Object ObjectOf(const Napi::Value& value, const char* name) {
  if (!value.IsObject()) ThrowExpected(value.Env(), "an object", name);
  return value.As<Napi::Object>();
}

inline Napi::Array ArrayOf(const Napi::Value& value, const char* name) {
  if (!value.IsArray()) ThrowExpected(value.Env(), "an array", name);
  return value.As<Napi::Array>();
}

inline std::string StringOf(const Napi::Object& object, const char* key) {
  const Napi::Value value = object.Get(key);
  if (!value.IsString()) ThrowExpected(object.Env(), "a string", key);
  return value.As<Napi::String>().Utf8Value();
}

// A whole number in 0..max.
inline std::uint64_t IntegerOf(const Napi::Value& value, const char* name, double max) {
  const double number = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : -1;
  if (!(number >= 0 && number <= max) || number != static_cast<double>(static_cast<std::uint64_t>(number))) {
    ThrowExpected(value.Env(), "a whole number in range", name);
  }
  return static_cast<std::uint64_t>(number);
}

inline constexpr double kIntegerMax = 9007199254740991;  // Number.MAX_SAFE_INTEGER

inline std::uint64_t IntegerOf(const Napi::Object& object, const char* key, double max = kIntegerMax) {
  return IntegerOf(object.Get(key), key, max);
}

inline bool BooleanOf(const Napi::Object& object, const char* key) {
  const Napi::Value value = object.Get(key);
  if (!value.IsBoolean()) ThrowExpected(object.Env(), "a boolean", key);
  return value.As<Napi::Boolean>().Value();
}

// An error of the shape that lib/errors.ts turns into a class: {name, code, message, item}.
inline Napi::Error MakeError(Napi::Env env, const char* name, const char* code, const std::string& message, int item) {
  Napi::Error error = Napi::Error::New(env, message);
  error.Value().Set("name", name);
  error.Value().Set("code", code);
  error.Value().Set("item", item < 0 ? env.Null() : Napi::Number::New(env, item).As<Napi::Value>());
  return error;
}

}  // namespace interleave::binding
