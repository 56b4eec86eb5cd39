// Predicted costs and the admission formula for the clients of workers. Declared for TypeScript in lib/addon.ts.
#pragma once

#include <napi.h>

namespace interleave::binding {

Napi::Value CostTableCreate(const Napi::CallbackInfo& info);
Napi::Value CostTableRunNs(const Napi::CallbackInfo& info);
Napi::Value CostTableBestRowNs(const Napi::CallbackInfo& info);
Napi::Value Admit(const Napi::CallbackInfo& info);
Napi::Value WaitFactorAfter(const Napi::CallbackInfo& info);

}  // namespace interleave::binding
