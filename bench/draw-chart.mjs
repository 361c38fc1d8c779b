// @ts-check
import * as echarts from 'echarts';

const barHeight = 34;

/**
 * Horizontal bars, ours in a colour of its own, as the text of an SVG file.
 *
 * @param {string} title
 * @param {readonly { label: string, value: number }[]} bars
 */
export function drawChart(title, bars) {
  const chart = echarts.init(null, null, {
    renderer: 'svg',
    ssr: true,
    width: 720,
    height: 70 + barHeight * bars.length,
  });
  try {
    chart.setOption({
      animation: false,
      backgroundColor: '#ffffff',
      title: { text: title, left: 8, top: 6, textStyle: { fontSize: 14, fontWeight: 600 } },
      grid: { left: 250, right: 70, top: 40, bottom: 22 },
      xAxis: { type: 'value', splitLine: { lineStyle: { color: '#eee' } } },
      yAxis: {
        type: 'category',
        inverse: true,
        data: bars.map(({ label }) => label),
        axisTick: { show: false },
        axisLabel: { width: 235, overflow: 'truncate' },
      },
      series: [
        {
          type: 'bar',
          barWidth: 18,
          data: bars.map(({ label, value }) => ({
            value,
            itemStyle: { color: /crikit|session|forwarded|dial/.test(label) ? '#2563eb' : '#9ca3af' },
          })),
          label: { show: true, position: 'right' },
        },
      ],
    });
    return `${chart.renderToSVGString()}\n`;
  } finally {
    chart.dispose();
  }
}
