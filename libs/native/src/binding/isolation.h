// Isolation of whole processes and threads for JavaScript. All functions run on the JS thread. Declared for TypeScript
// in lib/addon.ts.
#pragma once

#include <napi.h>

namespace interleave::binding {

Napi::Value IsolateFront(const Napi::CallbackInfo& info);
Napi::Value IsolateProcess(const Napi::CallbackInfo& info);
Napi::Value IsolateDiskWork(const Napi::CallbackInfo& info);
Napi::Value MeasureWakeups(const Napi::CallbackInfo& info);
Napi::Value SpinAsBatch(const Napi::CallbackInfo& info);

}  // namespace interleave::binding
