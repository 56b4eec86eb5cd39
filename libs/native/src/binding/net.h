#pragma once

#include <napi.h>

namespace interleave::binding {

Napi::Value ListeningSocketOpen(const Napi::CallbackInfo& info);
Napi::Value DescriptorCopy(const Napi::CallbackInfo& info);

}  // namespace interleave::binding
