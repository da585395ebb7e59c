export const config = {
  secretAccessKey: string | undefined = '<<secret:1>>',
};
