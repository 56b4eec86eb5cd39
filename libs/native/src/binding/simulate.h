#pragma once

#include <napi.h>

namespace interleave::binding {

// See NativeAddon of lib/addon.ts.
Napi::Value Simulate(const Napi::CallbackInfo& info);

}  // namespace interleave::binding
