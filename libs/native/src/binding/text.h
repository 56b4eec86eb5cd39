#pragma once

#include <napi.h>

namespace interleave::binding {

Napi::Value ShortenFloats(const Napi::CallbackInfo& info);
Napi::Value WriteFloats(const Napi::CallbackInfo& info);
Napi::Value DoublesText(const Napi::CallbackInfo& info);

}  // namespace interleave::binding
