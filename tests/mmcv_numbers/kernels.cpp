// mmcv's CUDA kernels of operators that it has no CPU version of, compiled for
// the CPU: a kernel is a loop over the elements of its output.
#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstddef>
#include <cstdint>

#define __global__
#define CUDA_1D_KERNEL_LOOP(i, n) for (int i = 0; i < (n); ++i)
using std::max;
using std::min;

template <typename T>
void atomicAdd(T* address, T value) {
  *address += value;
}

#include "roi_pool_cuda_kernel.cuh"
#include "sigmoid_focal_loss_cuda_kernel.cuh"

extern "C" {
void focal_forward(int n, const float* input, const int64_t* target,
                   const float* weight, float* output, float gamma,
                   float alpha, int classes) {
  sigmoid_focal_loss_forward_cuda_kernel(n, input, target, weight, output,
                                         gamma, alpha, classes);
}

void focal_backward(int n, const float* input, const int64_t* target,
                    const float* weight, float* grad_input, float gamma,
                    float alpha, int classes) {
  sigmoid_focal_loss_backward_cuda_kernel(n, input, target, weight, grad_input,
                                          gamma, alpha, classes);
}

void roi_pool_forward(int n, const float* input, const float* rois,
                      float* output, int* argmax, int pooled_height,
                      int pooled_width, float scale, int channels, int height,
                      int width) {
  roi_pool_forward_cuda_kernel(n, input, rois, output, argmax, pooled_height,
                               pooled_width, scale, channels, height, width);
}

void roi_pool_backward(int n, const float* grad_output, const float* rois,
                       const int* argmax, float* grad_input, int pooled_height,
                       int pooled_width, int channels, int height, int width) {
  roi_pool_backward_cuda_kernel(n, grad_output, rois, argmax, grad_input,
                                pooled_height, pooled_width, channels, height,
                                width);
}
}
